//! Parts of long lists: `page` and `page_size`. LiteLLM answers these lists whole; ours are bounded, and a client that
//! knows the two parameters gets the rest.

use super::fields::{Field, Form, Issue, Shape, optional};
use super::query::in_range;

/// Most entries of one answer, and how many there are where nothing is said.
const MOST: i64 = 10_000;

/// The parameters.
pub(crate) const PART: &[Field] = &[
    optional("page", Shape::Whole, "The page, from 1."),
    optional("page_size", Shape::Whole, "Entries on a page, 1 to 10000; 10000 where nothing is said."),
];

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    offset: i64,
    size: i64,
}

impl Part {
    /// Reads the parameters.
    pub(crate) fn read(form: &mut Form) -> Result<Self, Vec<Issue>> {
        let page = in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?;
        let size = in_range("page_size", form.take("page_size").given().unwrap_or(MOST), 1, MOST)?;
        Ok(Self { offset: (page - 1) * size, size })
    }

    /// How many entries come before it.
    pub(crate) fn offset(self) -> i64 {
        self.offset
    }

    /// How many entries it has at most.
    pub(crate) fn size(self) -> i64 {
        self.size
    }
}
