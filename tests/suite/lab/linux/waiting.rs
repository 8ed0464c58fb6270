//! Waiting for what no event tells of.

use std::time::Duration;

/// How long something may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that no event tells of.
const A_MOMENT: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to see; `None` if there is not at the deadline.
#[expect(clippy::disallowed_methods, reason = "no event tells of what is looked for; a deadline bounds the wait")]
pub fn waited_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if begun.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(A_MOMENT);
    }
}
