//! Looking at what flows through the linear layers of a decoder while it runs.

use std::cell::RefCell;

use candle_core::Tensor;

use crate::Result;

/// Is shown the input and the output of linear layers as a forward computes them.
pub trait Observer {
    /// Whether it looks at the layer whose weight is the parameter at this index.
    fn looks_at(&self, weight: usize) -> bool;

    /// Takes the input `x`, `[T, in]`, and the output `y`, `[T, out]`, both f32, of the layer whose weight is the parameter
    /// at `weight`. `T` counts the tokens of all sequences of the batch: there is no padding. `y` is what the layer gives,
    /// with its bias and with what factors of low rank add.
    fn observe(&mut self, weight: usize, x: &Tensor, y: &Tensor) -> Result<()>;
}

/// An observer as a run holds it.
pub(super) struct Shown<'o>(RefCell<&'o mut dyn Observer>);

/// What a run shows its layers to. It hides the observer's lifetime, so that a run may be borrowed for less.
pub(super) trait Look {
    /// Shows a layer to the observer, if it looks at it.
    fn show(&self, weight: usize, x: &Tensor, y: &Tensor) -> Result<()>;
}

impl<'o> Shown<'o> {
    pub fn new(observer: &'o mut dyn Observer) -> Self {
        Self(RefCell::new(observer))
    }
}

impl Look for Shown<'_> {
    fn show(&self, weight: usize, x: &Tensor, y: &Tensor) -> Result<()> {
        let mut observer = self.0.borrow_mut();
        if observer.looks_at(weight) { observer.observe(weight, x, y) } else { Ok(()) }
    }
}
