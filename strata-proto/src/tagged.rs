//! Objects told apart by one of their fields, such as `{"event":"ready","pid":7}`, decoded with the
//! path of what did not fit.
//!
//! serde's own internally tagged enums buffer the object and so lose the path. Here the tag is read
//! first, and the object then goes straight into the variant's fields.

use std::collections::HashMap;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, IntoDeserializer,
    VariantAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::error::{located, malformed, require_object, without_position};
use crate::{DecodeError, DecodeErrorKind};

/// Decodes `json` into the externally tagged enum `T`, whose variant is named by the field `tag`.
pub(crate) fn from_tagged_json<'de, T: Deserialize<'de>>(
    json: &'de str,
    tag: &'static str,
) -> Result<T, DecodeError> {
    let variant = variant_name(json, tag)?;
    let mut track = serde_path_to_error::Track::new();
    let mut de = serde_json::Deserializer::from_str(json);
    let content = serde_path_to_error::Deserializer::new(&mut de, &mut track);
    T::deserialize(Tagged { variant: &variant, content }).map_err(|error| {
        let unknown = error.classify() == serde_json::error::Category::Data && error.line() == 0;
        if unknown && error.to_string().starts_with("unknown variant") {
            DecodeError::new(DecodeErrorKind::UnknownType, tag, without_position(&error))
        } else {
            located(json, "", &track.path(), &error)
        }
    })
}

fn variant_name(json: &str, tag: &'static str) -> Result<String, DecodeError> {
    require_object(json, "")?;
    let fields: HashMap<String, &RawValue> = serde_json::from_str(json).map_err(|e| malformed("", &e))?;
    let value = fields
        .get(tag)
        .ok_or_else(|| DecodeError::new(DecodeErrorKind::Missing, tag, format!("missing field `{tag}`")))?;
    serde_json::from_str(value.get())
        .map_err(|e| DecodeError::new(DecodeErrorKind::Invalid, tag, without_position(&e)))
}

/// Presents (variant name, whole object) as an externally tagged enum.
struct Tagged<'a, D> {
    variant: &'a str,
    content: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tagged<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Tagged<'_, D> {
    type Error = D::Error;
    type Variant = Content<D>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<D>), D::Error> {
        let name: StrDeserializer<'_, D::Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Content<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        IgnoredAny::deserialize(self.0).map(|_| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, D::Error> {
        Err(D::Error::custom("a tagged object has no tuple form"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}
