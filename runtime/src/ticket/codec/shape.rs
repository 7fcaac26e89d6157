//! The shape of a parameter as a matrix.

/// The shape of a parameter as a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rows: u64,
    pub cols: u64,
}

impl Shape {
    pub fn cells(self) -> u64 {
        self.rows * self.cols
    }
}
