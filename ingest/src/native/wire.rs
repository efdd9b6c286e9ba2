//! An event as it is on the wire, and the checks that make it an event.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{ID_BYTES_MAX, NAME_BYTES_MAX, UNIT_ID_BYTES_MAX};
use crate::fault::{Fault, bounded, check_text, required, shown};
use crate::json_cursor::Text;
use crate::object::Object;
use crate::units::{UNIT_TYPE_DEFAULT, UNITS_MAX, Units};
use crate::wire_time::{EXPECTED_TIME, WireTime};
use crate::{RawBody, RawEvent, RawUnit, RejectCode};

const EXPECTED_UNIT: &str = r#"an object such as {"type": "user", "id": "u1"}"#;

/// One flat struct, because an untagged enum would cost 40 % of the speed; which fields go with which type is checked
/// after.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    id: Option<String>,
    timestamp: Option<WireTime>,
    sent_at: Option<WireTime>,
    unit: Option<Object<WireUnit>>,
    units: Option<WireUnits>,
    flag: Option<String>,
    variation: Option<String>,
    attributes: Option<Map<String, Value>>,
    event: Option<String>,
    value: Option<f64>,
    properties: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireUnit {
    r#type: Option<String>,
    id: Option<String>,
}

/// Types and ids in the order sent, a type perhaps twice.
struct WireUnits(Vec<RawUnit>);

impl Wire<'_> {
    /// The event, or its id as far as there is one and what is wrong.
    pub(super) fn check(mut self) -> Result<RawEvent, (Option<String>, Fault)> {
        let id = self.id.take();
        match self.with_id(id.as_deref()) {
            // The checks have seen the id; it is moved in only here so that a fault can still name it.
            Ok(event) => Ok(RawEvent { id: id.unwrap_or_default(), ..event }),
            Err(fault) => Err((id, fault)),
        }
    }

    fn with_id(self, id: Option<&str>) -> Result<RawEvent, Fault> {
        let kind = required(self.r#type, "type", "`exposure` or `metric`")?.0;
        check_text(required(id, "id", "a string of 1 to 128 bytes")?, "id", ID_BYTES_MAX)?;
        let timestamp = required(self.timestamp, "timestamp", EXPECTED_TIME)?.0;
        let Units { first, others } = units(self.unit, self.units)?;
        let body = match &*kind {
            "exposure" => {
                foreign(self.event.is_some(), "event", "an exposure")?;
                foreign(self.value.is_some(), "value", "an exposure")?;
                foreign(self.properties.is_some(), "properties", "an exposure")?;
                let variation = required(self.variation, "variation", "the variation served");
                RawBody::Exposure {
                    flag: bounded(required(self.flag, "flag", "the flag's key")?, "flag", NAME_BYTES_MAX)?,
                    variation: bounded(variation?, "variation", NAME_BYTES_MAX)?,
                    attributes: self.attributes,
                }
            }
            "metric" => {
                foreign(self.flag.is_some(), "flag", "a metric event")?;
                foreign(self.variation.is_some(), "variation", "a metric event")?;
                foreign(self.attributes.is_some(), "attributes", "a metric event")?;
                RawBody::Metric {
                    event: bounded(required(self.event, "event", "the event's name")?, "event", NAME_BYTES_MAX)?,
                    value: self.value,
                    properties: self.properties,
                }
            }
            other => {
                let detail = format!("`type` is `{}`: expected `exposure` or `metric`", shown(other));
                return Err(Fault::new(RejectCode::UnknownType, "type", detail));
            }
        };
        Ok(RawEvent {
            id: String::new(),
            timestamp,
            unit_type: first.unit_type,
            unit_id: first.unit_id,
            other_units: others,
            sent_at: self.sent_at.map(|time| time.0),
            body,
        })
    }
}

fn units(unit: Option<Object<WireUnit>>, units: Option<WireUnits>) -> Result<Units, Fault> {
    match (unit, units) {
        (Some(Object(unit)), None) => {
            let unit_type = unit.r#type.unwrap_or_else(|| UNIT_TYPE_DEFAULT.to_owned());
            let unit_type = bounded(unit_type, "unit.type", NAME_BYTES_MAX)?;
            let unit_id = bounded(required(unit.id, "unit.id", "a string")?, "unit.id", UNIT_ID_BYTES_MAX)?;
            Ok(Units::one(RawUnit { unit_type, unit_id }))
        }
        (None, Some(units)) => several(units.0),
        (None, None) => required(None, "unit", EXPECTED_UNIT),
        (Some(_), Some(_)) => {
            let detail = "`unit` and `units` are both given: expected one of them";
            Err(Fault::new(RejectCode::InvalidValue, "units", detail))
        }
    }
}

fn several(units: Vec<RawUnit>) -> Result<Units, Fault> {
    let n = units.len();
    let counted = || format!("`units` has {n} units: expected 1 to {UNITS_MAX}");
    if n > UNITS_MAX {
        return Err(Fault::new(RejectCode::TooLarge, "units", counted()));
    }
    for (index, unit) in units.iter().enumerate() {
        check_text(&unit.unit_type, "units", NAME_BYTES_MAX)?;
        let field = format!("units.{}", shown(&unit.unit_type));
        check_text(&unit.unit_id, &field, UNIT_ID_BYTES_MAX)?;
        if units[..index].iter().any(|earlier| earlier.unit_type == unit.unit_type) {
            return Err(Fault::new(RejectCode::InvalidValue, &field, format!("`{field}` is given twice")));
        }
    }
    Units::sorted(units).ok_or_else(|| Fault::new(RejectCode::InvalidValue, "units", counted()))
}

fn foreign(present: bool, field: &'static str, of: &str) -> Result<(), Fault> {
    if present {
        return Err(Fault::new(RejectCode::UnknownField, field, format!("`{field}` is not a field of {of}")));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for WireUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireUnitsVisitor)
    }
}

struct WireUnitsVisitor;

impl<'de> Visitor<'de> for WireUnitsVisitor {
    type Value = WireUnits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of unit types and ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireUnits, A::Error> {
        let mut units = Vec::new();
        while let Some((unit_type, unit_id)) = map.next_entry()? {
            units.push(RawUnit { unit_type, unit_id });
        }
        Ok(WireUnits(units))
    }
}
