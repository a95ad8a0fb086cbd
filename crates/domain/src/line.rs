//! On which line of a YAML file a value stands.
//!
//! The reader knows lines only of what it fails at. So the file is read once more by a visitor
//! that follows the path and fails where it ends.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The line, counted from 1, of the value at a path such as `rules[0].calculation.type`; where the
/// path leads nowhere, of the value that it leads to last.
#[must_use]
pub fn of(yaml: &str, path: &str) -> Option<usize> {
    let steps: Vec<&str> = path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    let reader = yaml_serde::Deserializer::from_str(yaml);
    let stopped = Follow(&steps).deserialize(reader).err()?;
    stopped.location().map(|location| location.line())
}

/// Follows the remaining steps and fails at the last one.
struct Follow<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    // What is not told apart below ends in an error too, which is what is wanted.
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the end of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else {
            return Err(A::Error::custom("here"));
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *step {
                map.next_value_seed(Follow(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("no such key"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else {
            return Err(A::Error::custom("here"));
        };
        let wanted: usize = step.parse().map_err(|_| A::Error::custom("no index"))?;
        for _ in 0..wanted {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(Follow(rest))?;
        Err(A::Error::custom("no such element"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "plan: a\nrules:\n  - id: x\n    levels:\n      - {level: 1}\n      - level: 2\n        \
                        percentage: '3'\n  - id: y\nempty: []\n";

    #[test]
    fn a_path_leads_to_its_line() {
        let cases = [
            ("plan", 1),
            ("rules[0].id", 3),
            ("rules[0].levels[0].level", 5),
            ("rules[0].levels[1].level", 6),
            ("rules[0].levels[1].percentage", 7),
            ("rules[1].id", 8),
            ("empty", 9),
        ];
        for (path, line) in cases {
            assert_eq!(of(YAML, path), Some(line), "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_ends_at_the_last_value() {
        assert_eq!(of(YAML, "rules[1].priority"), Some(8));
        assert_eq!(of(YAML, "max_levels"), Some(1));
    }
}
