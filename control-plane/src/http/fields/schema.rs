//! Tables of fields as OpenAPI.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{RefOr, Required};

use super::{Field, Need, Shape};

/// The schema of a body with these fields.
pub(crate) fn document(tables: &[&[Field]]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new();
    for field in tables.iter().flat_map(|table| table.iter()) {
        object = object.property(field.name, described(field));
        if field.need == Need::Required {
            object = object.required(field.name);
        }
    }
    object.into()
}

/// The query parameters that these fields are.
pub(crate) fn parameters(tables: &[&[Field]]) -> Vec<Parameter> {
    let parameter = |field: &Field| {
        ParameterBuilder::new()
            .name(field.name)
            .parameter_in(ParameterIn::Query)
            .required(match field.need {
                Need::Required => Required::True,
                Need::Optional => Required::False,
            })
            .description(Some(field.about))
            .schema(Some(schema(field.shape)))
            .build()
    };
    tables.iter().flat_map(|table| table.iter()).map(parameter).collect()
}

fn described(field: &Field) -> RefOr<Schema> {
    match schema(field.shape) {
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(field.about.to_owned());
            object.into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = Some(field.about.to_owned());
            array.into()
        }
        other => AllOfBuilder::new().item(other).description(Some(field.about)).into(),
    }
}

fn schema(shape: Shape) -> RefOr<Schema> {
    let plain = |kind| ObjectBuilder::new().schema_type(kind).build();
    let list = |items: Object| ArrayBuilder::new().items(items).into();
    match shape {
        Shape::Text => plain(Type::String).into(),
        Shape::Truth => plain(Type::Boolean).into(),
        Shape::Whole => plain(Type::Integer).into(),
        Shape::Number | Shape::Usd => plain(Type::Number).into(),
        Shape::Texts => list(plain(Type::String)),
        Shape::Objects => list(plain(Type::Object)),
        Shape::Object => plain(Type::Object).into(),
        Shape::TextMap => ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::RefOr(plain(Type::String).into())))
            .into(),
        Shape::Choice(words) => ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.to_vec())).into(),
        Shape::Any => ObjectBuilder::new().schema_type(SchemaType::AnyValue).into(),
    }
}
