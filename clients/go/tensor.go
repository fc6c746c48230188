package lossmeter

import (
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"unsafe"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// Element is what a tensor can be made of. Booleans are for masks, strings for the labels of
// groups; float16 and bfloat16, which Go lacks, are made by [Float16] and [BFloat16].
type Element interface {
	bool | string |
		~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~float32 | ~float64
}

// Inputs are tensors by name: predictions, targets, sample_weight, mask, and what else a loss takes.
type Inputs map[string]Tensor

// Tensor is an array of one type with a shape, row-major. Make one by [Of] or [Scalar].
type Tensor struct {
	dtype pb.DataType
	shape []int64
	data  []byte   // little-endian
	texts []string // of a tensor of strings, in place of data
}

var dtypes = map[reflect.Kind]pb.DataType{
	reflect.Bool:    pb.DataType_DATA_TYPE_BOOL,
	reflect.Int8:    pb.DataType_DATA_TYPE_INT8,
	reflect.Int16:   pb.DataType_DATA_TYPE_INT16,
	reflect.Int32:   pb.DataType_DATA_TYPE_INT32,
	reflect.Int64:   pb.DataType_DATA_TYPE_INT64,
	reflect.Uint8:   pb.DataType_DATA_TYPE_UINT8,
	reflect.Uint16:  pb.DataType_DATA_TYPE_UINT16,
	reflect.Uint32:  pb.DataType_DATA_TYPE_UINT32,
	reflect.Uint64:  pb.DataType_DATA_TYPE_UINT64,
	reflect.Float32: pb.DataType_DATA_TYPE_FLOAT32,
	reflect.Float64: pb.DataType_DATA_TYPE_FLOAT64,
	reflect.String:  pb.DataType_DATA_TYPE_STRING,
}

// As wide as the machine has them.
func init() {
	dtypes[reflect.Int] = pb.DataType_DATA_TYPE_INT64
	dtypes[reflect.Uint] = pb.DataType_DATA_TYPE_UINT64
	if strconv.IntSize == 32 {
		dtypes[reflect.Int] = pb.DataType_DATA_TYPE_INT32
		dtypes[reflect.Uint] = pb.DataType_DATA_TYPE_UINT32
	}
}

// widths are the bytes of an element.
var widths = map[pb.DataType]int{
	pb.DataType_DATA_TYPE_BOOL:     1,
	pb.DataType_DATA_TYPE_INT8:     1,
	pb.DataType_DATA_TYPE_INT16:    2,
	pb.DataType_DATA_TYPE_INT32:    4,
	pb.DataType_DATA_TYPE_INT64:    8,
	pb.DataType_DATA_TYPE_UINT8:    1,
	pb.DataType_DATA_TYPE_UINT16:   2,
	pb.DataType_DATA_TYPE_UINT32:   4,
	pb.DataType_DATA_TYPE_UINT64:   8,
	pb.DataType_DATA_TYPE_FLOAT16:  2,
	pb.DataType_DATA_TYPE_BFLOAT16: 2,
	pb.DataType_DATA_TYPE_FLOAT32:  4,
	pb.DataType_DATA_TYPE_FLOAT64:  8,
}

// Of makes a tensor of data in this shape; of one axis if no shape is given.
//
// The tensor is a view: data must not change until the call that takes it returns. Data that do not
// fill the shape are refused by that call.
func Of[E Element](data []E, shape ...int) Tensor {
	if len(shape) == 0 {
		shape = []int{len(data)}
	}
	return made(data, shape)
}

// Scalar makes a tensor of one number, without axes.
func Scalar[E Element](x E) Tensor {
	return made([]E{x}, nil)
}

// Float16 makes a tensor of IEEE 754 binary16 numbers from their bits, as [Of] does.
func Float16(bits []uint16, shape ...int) Tensor {
	t := Of(bits, shape...)
	t.dtype = pb.DataType_DATA_TYPE_FLOAT16
	return t
}

// BFloat16 makes a tensor of the upper halves of float32 numbers, as [Of] does.
func BFloat16(bits []uint16, shape ...int) Tensor {
	t := Of(bits, shape...)
	t.dtype = pb.DataType_DATA_TYPE_BFLOAT16
	return t
}

func made[E Element](data []E, shape []int) Tensor {
	t := Tensor{dtype: dtypes[reflect.TypeFor[E]().Kind()]}
	for _, size := range shape {
		t.shape = append(t.shape, int64(size))
	}
	if texts, ok := any(data).([]string); ok {
		t.texts = texts
		return t
	}
	width := int(unsafe.Sizeof(*new(E)))
	t.data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*width)
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.data = swapped(t.data, width)
	}
	return t
}

// swapped is a copy with the bytes of each element in the other order.
func swapped(data []byte, width int) []byte {
	other := slices.Clone(data)
	for element := range slices.Chunk(other, width) {
		slices.Reverse(element)
	}
	return other
}

// check refuses elements that do not fill the shape.
func (t Tensor) check(name string) error {
	elements := int64(len(t.texts))
	if width := widths[t.dtype]; width > 0 {
		elements = int64(len(t.data) / width)
	}
	if product := product(t.shape); product != elements {
		detail := fmt.Sprintf("%d elements do not fill the shape %v", elements, t.shape)
		return invalid("SHAPE_MISMATCH", "inputs."+name, detail)
	}
	return nil
}

// product is the number of elements of a shape; -1 if it has a negative size or too many elements.
func product(shape []int64) int64 {
	elements := int64(1)
	for _, size := range shape {
		if size < 0 || size > 0 && elements > (1<<62)/size {
			return -1
		}
		elements *= size
	}
	return elements
}

// size is about how many bytes it takes on the wire.
func (t Tensor) size() int {
	size := len(t.data)
	for _, text := range t.texts {
		size += textLength + len(text)
	}
	return size
}

// rows are the samples from one position of axis 0 to another, as a view.
func (t Tensor) rows(from, to int) Tensor {
	stride := int(product(t.shape[1:]))
	cut := t
	cut.shape = append([]int64{int64(to - from)}, t.shape[1:]...)
	if t.texts != nil {
		cut.texts = t.texts[from*stride : to*stride]
		return cut
	}
	stride *= widths[t.dtype]
	cut.data = t.data[from*stride : to*stride]
	return cut
}

// textLength is the bytes that tell how long a string is.
const textLength = 4

func (t Tensor) message() *pb.Tensor {
	data := t.data
	for _, text := range t.texts {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(text)))
		data = append(data, text...)
	}
	return &pb.Tensor{Dtype: t.dtype, Shape: t.shape, Data: data}
}

// check refuses tensors whose elements do not fill their shapes.
func (inputs Inputs) check() error {
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if err := inputs[name].check(name); err != nil {
			return err
		}
	}
	return nil
}

func (inputs Inputs) messages() map[string]*pb.Tensor {
	made := make(map[string]*pb.Tensor, len(inputs))
	for name, tensor := range inputs {
		made[name] = tensor.message()
	}
	return made
}
