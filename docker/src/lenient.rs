//! What Go's encoder does to JSON: what is empty may be `null`, and a text where another language has nothing.

use serde::{Deserialize, Deserializer};

/// What is said of a text that should be an id; the text itself is said before.
pub(crate) const NO_ID: &str = "no id: 64 hexadecimal digits are expected";

/// `null` is as good as nothing.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(of: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(of)?.unwrap_or_default())
}

/// The beginning of an id, as people see it; of anything else that came instead a bounded piece that can be printed.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(12).flat_map(char::escape_debug).collect()
}
