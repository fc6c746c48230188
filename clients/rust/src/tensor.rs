//! Tensors: the inputs of a loss, and the values of an answer.

use std::fmt;

use bytemuck::NoUninit;
use bytes::Bytes;

pub use crate::v1::DataType;
use crate::{Error, v1};

/// A dense array: elements in row-major order, and their shape.
///
/// Slices, arrays and vectors become tensors of one axis, single numbers of none; a vector of
/// numbers is taken over as it is, without a copy.
///
/// ```
/// use lossmeter_client::Tensor;
///
/// let targets = Tensor::from([0_i64, 1, 1]);
/// let predictions = Tensor::from(vec![0.2_f32, 0.8, 0.6, 0.4, 0.1, 0.9]).reshape([3, 2])?;
/// assert_eq!((targets.shape(), predictions.shape()), (&[3][..], &[3, 2][..]));
/// # Ok::<(), lossmeter_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: DataType,
    shape: Vec<usize>,
    data: Bytes,
}

impl Tensor {
    /// A tensor from the bytes of its elements, little-endian and row-major; strings each after
    /// their length in bytes as a `u32`.
    ///
    /// # Errors
    ///
    /// `SHAPE_MISMATCH` if they are not as many as the shape says.
    pub fn from_bytes(
        dtype: DataType,
        shape: impl Into<Vec<usize>>,
        data: impl Into<Bytes>,
    ) -> Result<Self, Error> {
        let (shape, data) = (shape.into(), data.into());
        let fits = match (bytes_of(dtype), count_of(&shape)) {
            (Some(size), Some(count)) => count.checked_mul(size) == Some(data.len()),
            (None, Some(count)) => Texts(&data).count() == count,
            (_, None) => false,
        };
        fits.then_some(Self { dtype, shape, data }).ok_or_else(|| {
            Error::invalid(
                "SHAPE_MISMATCH",
                "",
                "the bytes are not as many as the shape says",
            )
        })
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    ///
    /// `SHAPE_MISMATCH` if that shape has another number of elements.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Self, Error> {
        let shape = shape.into();
        if count_of(&shape) != count_of(&self.shape) {
            return Err(Error::invalid(
                "SHAPE_MISMATCH",
                "",
                format!(
                    "{:?} has another number of elements than {shape:?}",
                    self.shape
                ),
            ));
        }
        Ok(Self { shape, ..self })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// The size of each axis; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, little-endian and row-major.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The elements, or `None` if they are of another type.
    pub fn to_vec<T: Scalar>(&self) -> Option<Vec<T>> {
        (T::DTYPE == self.dtype).then(|| {
            self.data
                .chunks_exact(size_of::<T>())
                .map(T::read)
                .collect()
        })
    }

    /// The elements as `f64`, or `None` if they are neither `f64` nor `f32`.
    pub fn to_f64_vec(&self) -> Option<Vec<f64>> {
        let narrow = || Some(self.to_vec::<f32>()?.into_iter().map(f64::from).collect());
        self.to_vec().or_else(narrow)
    }

    pub(crate) fn new(dtype: DataType, shape: Vec<usize>, data: Bytes) -> Self {
        Self { dtype, shape, data }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the elements: they may be many, and nobody else's business.
        write!(f, "Tensor({:?}, {:?})", self.dtype, self.shape)
    }
}

/// A type that a tensor may have as its elements.
pub trait Element: sealed::Pack + Clone {
    /// Its name in messages.
    const DTYPE: DataType;
}

/// A number or a boolean, which a tensor can be read as.
pub trait Scalar: Element + sealed::Read {}

mod sealed {
    use bytes::Bytes;

    pub trait Pack: Sized {
        fn pack(elements: &[Self]) -> Bytes;

        fn take(elements: Vec<Self>) -> Bytes {
            Self::pack(&elements)
        }
    }

    pub trait Read: Sized {
        fn read(bytes: &[u8]) -> Self;
    }
}

/// A vector that bytes may be made of where they are.
struct Owned<T>(Vec<T>);

impl<T: NoUninit> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

fn swapped<T: NoUninit>(elements: &[T]) -> Bytes {
    let mut bytes = bytemuck::cast_slice(elements).to_vec();
    for element in bytes.chunks_exact_mut(size_of::<T>()) {
        element.reverse();
    }
    bytes.into()
}

macro_rules! elements {
    ($($(#[$on:meta])* $type:ty = $dtype:ident, $read:expr;)*) => {$(
        $(#[$on])*
        impl sealed::Pack for $type {
            fn pack(elements: &[Self]) -> Bytes {
                if cfg!(target_endian = "big") {
                    return swapped(elements);
                }
                Bytes::copy_from_slice(bytemuck::cast_slice(elements))
            }

            fn take(elements: Vec<Self>) -> Bytes {
                if cfg!(target_endian = "big") {
                    return swapped(&elements);
                }
                Bytes::from_owner(Owned(elements))
            }
        }

        $(#[$on])*
        impl sealed::Read for $type {
            fn read(bytes: &[u8]) -> Self {
                let read: fn([u8; size_of::<$type>()]) -> Self = $read;
                read(bytes.try_into().expect("as many bytes as its size"))
            }
        }

        $(#[$on])*
        impl Element for $type {
            const DTYPE: DataType = DataType::$dtype;
        }

        $(#[$on])*
        impl Scalar for $type {}
    )*};
}

elements! {
    bool = Bool, |[byte]| byte != 0;
    i8 = Int8, i8::from_le_bytes;
    i16 = Int16, i16::from_le_bytes;
    i32 = Int32, i32::from_le_bytes;
    i64 = Int64, i64::from_le_bytes;
    u8 = Uint8, u8::from_le_bytes;
    u16 = Uint16, u16::from_le_bytes;
    u32 = Uint32, u32::from_le_bytes;
    u64 = Uint64, u64::from_le_bytes;
    f32 = Float32, f32::from_le_bytes;
    f64 = Float64, f64::from_le_bytes;
    #[cfg(feature = "half")]
    half::f16 = Float16, half::f16::from_le_bytes;
    #[cfg(feature = "half")]
    half::bf16 = Bfloat16, half::bf16::from_le_bytes;
}

macro_rules! texts {
    ($($type:ty),*) => {$(
        impl sealed::Pack for $type {
            fn pack(elements: &[Self]) -> Bytes {
                packed(elements)
            }
        }

        impl Element for $type {
            const DTYPE: DataType = DataType::String;
        }
    )*};
}

texts!(String, &str);

/// Texts, each after its length.
fn packed(texts: &[impl AsRef<str>]) -> Bytes {
    let mut bytes = Vec::new();
    for text in texts.iter().map(AsRef::as_ref) {
        let length = u32::try_from(text.len()).expect("a text of less than 4 GiB");
        bytes.extend(length.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.into()
}

impl<T: Element> From<Vec<T>> for Tensor {
    fn from(elements: Vec<T>) -> Self {
        Self::new(T::DTYPE, vec![elements.len()], T::take(elements))
    }
}

impl<T: Element> From<&[T]> for Tensor {
    fn from(elements: &[T]) -> Self {
        Self::new(T::DTYPE, vec![elements.len()], T::pack(elements))
    }
}

impl<T: Element> From<&Vec<T>> for Tensor {
    fn from(elements: &Vec<T>) -> Self {
        elements.as_slice().into()
    }
}

impl<T: Element, const N: usize> From<[T; N]> for Tensor {
    fn from(elements: [T; N]) -> Self {
        elements.as_slice().into()
    }
}

impl<T: Element, const N: usize> From<&[T; N]> for Tensor {
    fn from(elements: &[T; N]) -> Self {
        elements.as_slice().into()
    }
}

impl<T: Element, const R: usize, const C: usize> From<[[T; C]; R]> for Tensor {
    fn from(rows: [[T; C]; R]) -> Self {
        Self::new(T::DTYPE, vec![R, C], T::pack(rows.as_flattened()))
    }
}

/// A single number, without axes.
impl<T: Element> From<T> for Tensor {
    fn from(element: T) -> Self {
        Self::new(T::DTYPE, vec![], T::take(vec![element]))
    }
}

impl From<Tensor> for v1::Tensor {
    fn from(tensor: Tensor) -> Self {
        Self {
            dtype: tensor.dtype.into(),
            shape: tensor.shape.into_iter().map(wide).collect(),
            data: tensor.data,
        }
    }
}

impl TryFrom<v1::Tensor> for Tensor {
    type Error = Error;

    fn try_from(message: v1::Tensor) -> Result<Self, Error> {
        let shape: Result<Vec<usize>, _> = message.shape.iter().map(|&n| n.try_into()).collect();
        shape
            .ok()
            .and_then(|shape| Self::from_bytes(message.dtype(), shape, message.data).ok())
            .ok_or_else(|| Error::internal("the service answered with a tensor that is none"))
    }
}

fn wide(size: usize) -> i64 {
    i64::try_from(size).expect("memory ends before")
}

fn count_of(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |n, &size| n.checked_mul(size))
}

/// Bytes of an element; `None` of texts, which have each their own.
fn bytes_of(dtype: DataType) -> Option<usize> {
    match dtype {
        DataType::Unspecified => Some(0),
        DataType::Bool | DataType::Int8 | DataType::Uint8 => Some(1),
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => Some(2),
        DataType::Int32 | DataType::Uint32 | DataType::Float32 => Some(4),
        DataType::Int64 | DataType::Uint64 | DataType::Float64 => Some(8),
        DataType::String => None,
    }
}

/// The bytes of each text with its length; ends where they are cut short.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = self.0.first_chunk().map(|size| u32::from_le_bytes(*size))?;
        let size = usize::try_from(length).ok()?.checked_add(4)?;
        let (text, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(text)
    }
}

/// What is left of a tensor whose rows are taken a few at a time, as views.
pub(crate) struct Rows {
    left: Tensor,
}

impl Rows {
    pub(crate) fn of(tensor: Tensor) -> Self {
        Self { left: tensor }
    }

    /// The next rows, fewer where it ends; a single number every time.
    pub(crate) fn take(&mut self, count: usize) -> Tensor {
        let Some(&rows) = self.left.shape.first() else {
            return self.left.clone();
        };
        let count = count.min(rows);
        let size = self.size_of_rows(count, rows);
        let data = self.left.data.split_to(size);
        self.left.shape[0] = rows - count;
        let mut shape = self.left.shape.clone();
        shape[0] = count;
        Tensor::new(self.left.dtype, shape, data)
    }

    fn size_of_rows(&self, count: usize, rows: usize) -> usize {
        if rows == 0 || self.left.dtype != DataType::String {
            return self.left.data.len() / rows.max(1) * count;
        }
        let texts: usize = self.left.shape[1..].iter().product();
        Texts(&self.left.data)
            .take(texts * count)
            .map(<[u8]>::len)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_numbers_is_a_tensor() {
        let numbers = [1.0_f32, f32::NAN];
        for tensor in [
            Tensor::from(numbers),
            (&numbers).into(),
            numbers.as_slice().into(),
            numbers.to_vec().into(),
            (&numbers.to_vec()).into(),
        ] {
            assert_eq!(tensor.dtype(), DataType::Float32);
            assert_eq!(tensor.shape(), [2]);
            assert_eq!(&tensor.data()[..], [0, 0, 128, 63, 0, 0, 192, 127]);
        }
        assert_eq!(Tensor::from([[1_u8, 2], [3, 4], [5, 6]]).shape(), [3, 2]);
        assert_eq!(Tensor::from(7.5).shape(), [0; 0]);
        assert_eq!(&Tensor::from([true, false]).data()[..], [1, 0]);
    }

    #[test]
    fn a_vector_is_taken_over_where_it_is() {
        let numbers = vec![1.0_f64; 100];
        let place = numbers.as_ptr().cast::<u8>();
        assert_eq!(Tensor::from(numbers).data().as_ptr(), place);
    }

    #[test]
    fn texts_follow_their_lengths() {
        let tensor = Tensor::from(["de", ""]);
        assert_eq!(&tensor.data()[..], b"\x02\0\0\0de\0\0\0\0");
        assert_eq!(tensor, Tensor::from(vec!["de".to_owned(), String::new()]));
        assert_eq!(tensor.dtype(), DataType::String);
    }

    #[test]
    fn elements_are_read_as_what_they_are_alone() {
        let tensor = Tensor::from([1.5_f32, -2.0]);
        assert_eq!(tensor.to_vec::<f32>(), Some(vec![1.5, -2.0]));
        assert_eq!(tensor.to_vec::<f64>(), None);
        assert_eq!(tensor.to_f64_vec(), Some(vec![1.5, -2.0]));
        assert_eq!(Tensor::from([1_i64]).to_f64_vec(), None);
        assert_eq!(Tensor::from([true]).to_vec::<bool>(), Some(vec![true]));
    }

    #[test]
    fn a_shape_holds_its_elements() {
        let tensor = Tensor::from([1_i16, 2, 3, 4]);
        assert_eq!(tensor.clone().reshape([2, 2]).unwrap().shape(), [2, 2]);
        for shape in [vec![3], vec![], vec![usize::MAX, 2]] {
            let error = tensor.clone().reshape(shape).unwrap_err();
            assert_eq!(error.reason(), "SHAPE_MISMATCH");
        }
        assert!(Tensor::from_bytes(DataType::Int16, [4], vec![0; 8]).is_ok());
        assert!(Tensor::from_bytes(DataType::Int16, [4], vec![0; 7]).is_err());
        assert!(Tensor::from_bytes(DataType::String, [1], vec![9, 0, 0, 0]).is_err());
    }

    #[test]
    fn rows_are_taken_until_none_is_left() {
        let mut rows = Rows::of(Tensor::from([[1_u8, 2], [3, 4], [5, 6]]));
        assert_eq!(rows.take(2), Tensor::from([[1_u8, 2], [3, 4]]));
        assert_eq!(rows.take(2), Tensor::from([[5_u8, 6]]));
        assert_eq!(rows.take(2).shape(), [0, 2]);
        let mut texts = Rows::of(Tensor::from([["a", "bc"], ["", "d"]]));
        assert_eq!(texts.take(1), Tensor::from([["a", "bc"]]));
        assert_eq!(texts.take(1), Tensor::from([["", "d"]]));
        let mut number = Rows::of(Tensor::from(1.0));
        assert_eq!(number.take(1), number.take(5));
    }

    #[cfg(feature = "half")]
    #[test]
    fn halves_are_elements() {
        let tensor = Tensor::from([half::f16::ONE, half::f16::NEG_ONE]);
        assert_eq!(tensor.dtype(), DataType::Float16);
        assert_eq!(&tensor.data()[..], [0, 60, 0, 188]);
        assert_eq!(Tensor::from(half::bf16::ONE).dtype(), DataType::Bfloat16);
    }
}
