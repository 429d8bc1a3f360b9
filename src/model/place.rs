//! Where things are: campus, building, floor, room.

use super::event::words;
use super::{PlaceId, Text};
use serde::{Deserialize, Serialize};

words! {
    /// How large a place is.
    PlaceKind {
        /// The whole school ground.
        Campus = "campus",
        /// A building.
        Building = "building",
        /// A floor of a building.
        Floor = "floor",
        /// A room, gate, corridor or yard.
        Room = "room",
    }
}

/// One place, with its path from the campus down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub id: PlaceId,
    /// How large it is.
    pub kind: PlaceKind,
    /// Its name as people say it.
    pub name: String,
    /// The place that holds it.
    pub parent: Option<PlaceId>,
    /// Names from the campus down to this place, for alarms: "东校区 / 1号楼 / 2层 / 201".
    pub path: Text,
    /// Who is in it is counted: a zone (区域), bounded by the readers in it.
    pub counts: bool,
    /// An assembly point (集合点): who is seen here after an alarm is safe.
    pub assembly: bool,
    /// People sleep here: who is in it in the night is not taken for forgotten.
    pub overnight: bool,
    /// The calendar that holds here and in every place below; `None` is that of the place above, at the top the main one.
    pub calendar: Option<String>,
}
