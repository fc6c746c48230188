//! JSON as protobuf has it, and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Value};

pub(crate) fn to_message(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(truth),
        // Numbers of a message are float64, whatever they were.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(to_message).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}

pub(crate) fn to_struct(fields: Map<String, Value>) -> Struct {
    let fields = fields.into_iter().map(|(name, x)| (name, to_message(x)));
    Struct {
        fields: fields.collect(),
    }
}

pub(crate) fn of_message(message: prost_types::Value) -> Value {
    match message.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::NumberValue(number)) => Value::from(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(of_message).collect(),
        Some(Kind::StructValue(fields)) => of_struct(fields),
    }
}

pub(crate) fn of_struct(message: Struct) -> Value {
    let fields = message.fields.into_iter();
    fields.map(|(name, x)| (name, of_message(x))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let value = json!({"a": [1.5, true, null, "x"], "b": {"c": []}});
        assert_eq!(of_message(to_message(value.clone())), value);
    }
}
