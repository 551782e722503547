//! The order of resources: parents before their children, otherwise as they are written.

/// Orders resources given the parent of each, by index.
///
/// # Errors
/// The members of a cycle, each followed by its parent.
pub fn parents_first(parents: &[Option<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(parents.len());
    let mut placed = vec![false; parents.len()];
    for start in 0..parents.len() {
        let mut line = Vec::new();
        let mut next = Some(start);
        while let Some(at) = next.filter(|at| !placed[*at]) {
            if let Some(first) = line.iter().position(|seen| *seen == at) {
                return Err(line.split_off(first));
            }
            line.push(at);
            next = parents[at];
        }
        for at in line.into_iter().rev() {
            placed[at] = true;
            order.push(at);
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_their_children_and_the_rest_keeps_its_order() {
        assert_eq!(parents_first(&[Some(2), None, None, Some(0)]), Ok(vec![2, 0, 1, 3]));
        assert_eq!(parents_first(&[]), Ok(vec![]));
    }

    #[test]
    fn a_cycle_is_named_without_those_that_only_lead_to_it() {
        assert_eq!(parents_first(&[Some(1), Some(2), Some(1)]), Err(vec![1, 2]));
        assert_eq!(parents_first(&[Some(0)]), Err(vec![0]));
    }
}
