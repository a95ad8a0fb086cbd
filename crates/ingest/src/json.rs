//! Reading JSON bodies, telling what is no JSON at all from what does not fit, with a pointer to
//! the field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

use crate::problem::Problem;

/// Reads a body that is one object.
pub(crate) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let Object(value) = read(body)?;
    Ok(value)
}

/// Reads a body that is a list of objects.
pub(crate) fn read_list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Problem> {
    let objects: Vec<Object<T>> = read(body)?;
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

/// The JSON pointer of a path.
pub(crate) fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        if error.is_data() { Problem::invalid(pointer, error) } else { Problem::malformed(error) }
    })?;
    deserializer.end().map_err(Problem::malformed)?;
    Ok(value)
}

/// What is written as an object. By itself, a derived `Deserialize` takes a list too, as the
/// fields in the order of their declaration.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        // To the end, so that what is no JSON is told as such.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("send a JSON object with named fields, not a list"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u8,
        y: Option<u8>,
    }

    #[test]
    fn an_object_is_read_by_names_alone() {
        let point: Point = read_object(br#" {"y": 2, "x": 1} "#).unwrap();
        assert_eq!(point, Point { x: 1, y: Some(2) });
        let points: Vec<Point> = read_list(br#"[{"x": 1}, {"x": 2, "y": null}]"#).unwrap();
        assert_eq!(points, [Point { x: 1, y: None }, Point { x: 2, y: None }]);
    }

    #[test]
    fn what_is_no_object_is_refused_at_its_place() {
        let object = |body: &str| read_object::<Point>(body.as_bytes()).unwrap_err();
        let list = |body: &str| read_list::<Point>(body.as_bytes()).unwrap_err();
        for (problem, status, pointer, detail) in [
            (object("[1, 2]"), 422, "", "send a JSON object with named fields, not a list"),
            (object("[]"), 422, "", "send a JSON object with named fields, not a list"),
            (object("null"), 422, "", "expected a JSON object"),
            (object("\"x\""), 422, "", "expected a JSON object"),
            (object("7"), 422, "", "expected a JSON object"),
            (object(r#"{"x": [1]}"#), 422, "/x", "expected u8"),
            (list(r#"[{"x": 1}, [1, 2]]"#), 422, "/1", "not a list"),
            (list("[null]"), 422, "/0", "expected a JSON object"),
            (list("{}"), 422, "", "expected a sequence"),
        ] {
            let problem = serde_json::to_value(problem).unwrap();
            assert_eq!(
                (&problem["status"], &problem["pointer"]),
                (&status.into(), &pointer.into())
            );
            assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        }
        for body in ["[1, 2", "[1 2]", "{\"x\": 1} 2", ""] {
            assert_eq!(object(body).status(), 400, "{body}");
        }
    }
}
