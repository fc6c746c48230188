//! Tensors from the arrays of ndarray, and back.

use ndarray::{Array, ArrayBase, ArrayD, Data, Dimension};

use crate::Tensor;
use crate::tensor::{Element, Scalar};

/// Takes the array over as it is where its elements lie in order, and copies them where they do
/// not.
impl<T: Element, D: Dimension> From<Array<T, D>> for Tensor {
    fn from(array: Array<T, D>) -> Self {
        if !array.is_standard_layout() {
            return (&array).into();
        }
        let shape = array.shape().to_vec();
        let (elements, offset) = array.into_raw_vec_and_offset();
        // A slice of a larger array may begin and end within it.
        let start = offset.unwrap_or(0);
        let count: usize = shape.iter().product();
        let whole = start == 0 && count == elements.len();
        let elements = if whole {
            elements
        } else {
            elements[start..start + count].to_vec()
        };
        Self::new(T::DTYPE, shape, T::take(elements))
    }
}

/// Copies the elements of an array or a view, in order.
impl<T: Element, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Tensor {
    fn from(array: &ArrayBase<S, D>) -> Self {
        let shape = array.shape().to_vec();
        let data = match array.as_slice() {
            Some(elements) => T::pack(elements),
            None => T::take(array.iter().cloned().collect()),
        };
        Self::new(T::DTYPE, shape, data)
    }
}

impl Tensor {
    /// The elements as an array, or `None` if they are of another type.
    pub fn to_array<T: Scalar>(&self) -> Option<ArrayD<T>> {
        ArrayD::from_shape_vec(self.shape(), self.to_vec()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array, s};

    use super::*;

    #[test]
    fn an_array_comes_back_as_it_went() {
        let array = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let tensor = Tensor::from(&array);
        assert_eq!(tensor.shape(), [2, 3]);
        assert_eq!(tensor.to_array::<f64>().unwrap(), array.clone().into_dyn());
        assert_eq!(tensor.to_array::<f32>(), None);
        assert_eq!(Tensor::from(array), tensor);
    }

    #[test]
    fn views_are_read_in_the_order_they_show() {
        let array = array![[1_i32, 2, 3], [4, 5, 6]];
        let turned = [[1, 4], [2, 5], [3, 6]];
        assert_eq!(Tensor::from(&array.t()), Tensor::from(turned));
        assert_eq!(
            Tensor::from(array.clone().reversed_axes()),
            Tensor::from(turned)
        );
        assert_eq!(
            Tensor::from(&array.slice(s![.., 1..;1])),
            Tensor::from([[2, 3], [5, 6]])
        );
        assert_eq!(
            Tensor::from(&array.index_axis(Axis(0), 1)),
            Tensor::from([4, 5, 6])
        );
        assert_eq!(
            Tensor::from(array.slice_move(s![1.., ..])),
            Tensor::from([[4, 5, 6]])
        );
    }
}
