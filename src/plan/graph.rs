//! The order of resources: parents before their children, otherwise as they are written.

/// Orders resources given the parents of each, by index.
///
/// # Errors
/// The members of a cycle, each followed by its parent.
pub fn parents_first(parents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut walk = Walk { parents, placed: vec![false; parents.len()], order: Vec::new(), line: Vec::new() };
    for start in 0..parents.len() {
        walk.place(start)?;
    }
    Ok(walk.order)
}

struct Walk<'p> {
    parents: &'p [Vec<usize>],
    placed: Vec<bool>,
    order: Vec<usize>,
    /// The resources whose parents are being placed, each followed by one of them.
    line: Vec<usize>,
}

impl Walk<'_> {
    fn place(&mut self, at: usize) -> Result<(), Vec<usize>> {
        if self.placed[at] {
            return Ok(());
        }
        if let Some(first) = self.line.iter().position(|seen| *seen == at) {
            return Err(self.line.split_off(first));
        }
        self.line.push(at);
        for parent in &self.parents[at] {
            self.place(*parent)?;
        }
        self.line.pop();
        self.placed[at] = true;
        self.order.push(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_their_children_and_the_rest_keeps_its_order() {
        assert_eq!(parents_first(&[vec![2], vec![], vec![], vec![0]]), Ok(vec![2, 0, 1, 3]));
        assert_eq!(parents_first(&[vec![2, 1], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(parents_first(&[]), Ok(vec![]));
    }

    #[test]
    fn a_cycle_is_named_without_those_that_only_lead_to_it() {
        assert_eq!(parents_first(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
        assert_eq!(parents_first(&[vec![1], vec![], vec![1, 2]]), Err(vec![2]));
    }
}
