//! Memory that is larger than the processor's caches: huge pages for it, and a line of it asked for beforehand. Both are hints: what they
//! do not achieve shows in the time that it takes, and nowhere else.

use std::mem::MaybeUninit;

use nix::libc;

/// The size of a huge page, and the multiple at which one begins.
const HUGE: usize = 2 << 20;

/// madvise(2): asks for huge pages for memory that is not in use yet, as far as whole ones lie in it. Where the kernel has none, or none left,
/// the pages are ordinary ones.
pub(crate) fn want_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let begin = memory.as_mut_ptr().cast::<u8>();
    let before = begin.align_offset(HUGE);
    let whole = size_of_val(memory).saturating_sub(before) / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: the range lies within `memory`, and no byte of it changes: MADV_HUGEPAGE says how its pages are to be backed.
        // Whether it is granted does not matter.
        unsafe { libc::madvise(begin.wrapping_add(before).cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

/// Has the processor bring what is at `place` into its caches while it goes on. Where it can not be told to, it is not.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction (SSE, which all of x86-64 has) reads and writes nothing that a program can see, and does not fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn huge_pages_are_asked_for_where_whole_ones_lie_and_nowhere_else() {
        if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap() {
            return assert!(!is_advised(0), "this kernel has no huge pages, and nothing says that it has");
        }
        let mut memory: Vec<u8> = Vec::with_capacity(4 * HUGE);
        let begin = memory.as_ptr() as usize;
        want_huge_pages(memory.spare_capacity_mut());
        let first = begin.next_multiple_of(HUGE);
        assert!(is_advised(first) && is_advised(first + 3 * HUGE - 1));
        memory.resize(4 * HUGE, 7);
        assert!(memory.iter().all(|byte| *byte == 7));

        let mut little: Vec<u8> = Vec::with_capacity(HUGE - 1);
        want_huge_pages(little.spare_capacity_mut());
    }

    /// Whether the kernel was asked for huge pages at this address.
    fn is_advised(address: usize) -> bool {
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_here = false;
        maps.lines().any(|line| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let number = |hex| usize::from_str_radix(hex, 16).ok();
            if let Some((begin, end)) = range.and_then(|(begin, end)| Some((number(begin)?, number(end)?))) {
                is_here = (begin..end).contains(&address);
            }
            is_here && line.starts_with("VmFlags:") && line.split(' ').any(|flag| flag == "hg")
        })
    }
}
