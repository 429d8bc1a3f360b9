//! The route of rules: what is watched, how often it raised an alarm, and what never can.

use super::Console;
use super::Problem;
use super::api::read;
use super::route::Route;
use crate::access::Right;
use crate::config::{Device, WrittenRule};
use crate::model::{AlarmClass, DeviceId, PlaceId, Priority, Text};
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How far back alarms are counted, milliseconds: 30 days.
const COUNTED_MS: i64 = 30 * 24 * 3_600_000;
/// Most devices that are named.
const NAMED: usize = 3;

/// The route.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/rules", Right::See, ("规则", "rules"), list).gives::<Rows>()]
}

/// Rules.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rules")]
struct Rows {
    rows: Vec<View>,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
struct View {
    id: String,
    kind: &'static str,
    /// What rules of this kind are for.
    doc: Text,
    priority: Priority,
    class: AlarmClass,
    /// The place by which it chooses, or the one that its devices share.
    place: Option<String>,
    /// The devices that it watches; null is all.
    devices: Option<Vec<String>>,
    points: Vec<String>,
    /// What it watches, and its limits in words.
    says: Text,
    file: String,
    line: usize,
    /// Its alarms that are open.
    open: usize,
    /// How often it raised one in the last 30 days.
    raised_30d: u64,
    last_raised_at: Option<i64>,
    /// Why it can never raise an alarm.
    never: Option<Text>,
}

async fn list(State(console): State<Console>) -> Result<Json<Rows>, Problem> {
    let since = console.clock.now().wall.plus_ms(-COUNTED_MS);
    let (all, recent) =
        read(&console, move |reader| Ok((reader.raised()?, reader.raised_since(since)?))).await?;
    let live = console.live.borrow().clone();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for alarm in &live.alarms {
        *open.entry(alarm.key.rule.as_str()).or_default() += 1;
    }
    let row = |rule: &WrittenRule| {
        let id = rule.id.as_str();
        let points: BTreeSet<&str> = rule.points.iter().map(|(_, point)| point.as_str()).collect();
        let points: Vec<String> = points.into_iter().map(ToOwned::to_owned).collect();
        View {
            id: id.to_owned(),
            kind: rule.kind.name,
            doc: doc(rule),
            priority: rule.priority,
            class: rule.class,
            place: rule.place.as_ref().or_else(|| shared(rule, &console.devices)).map(ToString::to_string),
            devices: rule.devices.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
            says: says(rule, &console.devices),
            points,
            file: rule.spot.file.to_string(),
            line: rule.spot.line,
            open: open.get(id).copied().unwrap_or(0),
            raised_30d: recent.get(id).copied().unwrap_or(0),
            last_raised_at: all.get(id).map(|raised| raised.last.0),
            never: rule.never.clone(),
        }
    };
    Ok(Json(Rows { rows: console.work.rules.iter().map(row).collect() }))
}

/// The place in which all devices of a rule are, if it is one.
fn shared<'d>(rule: &WrittenRule, devices: &'d BTreeMap<DeviceId, Device>) -> Option<&'d PlaceId> {
    let mut places = rule.devices.iter().flatten().map(|id| devices.get(id).map(|device| &device.place));
    let first = places.next()??;
    places.all(|place| place == Some(first)).then_some(first)
}

/// Who is watched and the limits, in a line.
fn says(rule: &WrittenRule, devices: &BTreeMap<DeviceId, Device>) -> Text {
    let named: Vec<&str> = rule
        .devices
        .iter()
        .flatten()
        .take(NAMED)
        .map(|id| devices.get(id).map_or(id.as_str(), |device| device.name.as_str()))
        .collect();
    let many = rule.devices.as_ref().map_or(0, Vec::len);
    let (zh, en) = match (&rule.devices, many > NAMED) {
        (None, _) => ("全部设备".to_owned(), "all devices".to_owned()),
        (Some(_), false) => (named.join("、"), named.join(", ")),
        (Some(_), true) => (
            format!("{} 等 {many} 台", named.join("、")),
            format!("{} and {} more", named.join(", "), many - NAMED),
        ),
    };
    let parts = |whom: String, limits: &str| {
        let parts = [whom.as_str(), limits];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    };
    Text::new(parts(zh, &rule.says.zh), parts(en, &rule.says.en))
}

/// What rules of a kind are for.
fn doc(rule: &WrittenRule) -> Text {
    let zh = DOCS.iter().find(|(kind, _)| *kind == rule.kind.name).map_or(rule.kind.doc, |(_, zh)| zh);
    Text::new(zh, rule.kind.doc)
}

/// Every kind in Chinese; in English it says so itself.
const DOCS: &[(&str, &str)] = &[
    ("threshold", "数值高于或低于限值；有回差和延时，避免抖动。"),
    ("rate_of_change", "数值上升或下降太快（滑动时间窗内的拟合直线）。"),
    ("sum", "计数器的增量，或功率、流量的累计，在时间窗内超过或低于限值。"),
    ("count", "时间窗内某类事件或数值变化的次数达到限值。"),
    ("held", "一种状态持续太久：门一直开着，或传感器数值长时间不变。"),
    ("sequence", "同一地点几台设备的事件在限定时间内先后发生；也可要求某一步没有发生。"),
    ("cold_chain", "冰箱、冷库温度超限超过允许时间，长时间没有好的读数，或探头卡死。"),
    ("outside_hours", "非教学时间负荷高于限值。"),
    ("silent", "设备太久没有消息。"),
    ("coverage_lost", "一个区域里选定的设备全都不在线。"),
    ("exam_watch", "考试期间设备不应答，或摄像机没有画面。"),
    ("repeated_denied", "一台设备在限定时间内多次拒绝凭证。"),
    ("door_forced", "门被打开或撬开，而之前没有人刷卡通过。"),
    ("anti_passback", "同一凭证连续两次进入区域而中间没有出来（只提示，不拦门）。"),
    ("visitor_overstay", "访客或施工人员在凭证到期后仍未离开，或在有效时间外刷卡。"),
    ("curfew", "夜间在宿舍刷卡，或当晚外出的人过了时间还没有回来。"),
    ("patrol", "巡更点没有按时、按序巡到。"),
    ("event", "发生某类事件即报警；可限定只在非教学时间。"),
    ("night_base", "夜间平均功率（或流量）高于限值，或高于可比夜晚的一定比例。"),
    ("min_flow", "夜间最小流量一直高于接近零的限值：漏水或漏气。"),
    ("deviation", "一小时或一天的用量明显高于可比日的同一时段；教学日与教学日比，其余与其余比。"),
    ("balance", "总表与分表之和相差过大：损耗、窃电、泄漏或接线错误。"),
    ("budget", "一日、一月、一学期或一学年的用量达到预算的一定比例，或预计会超出。"),
    ("demand", "15 分钟平均功率（需量）超过或即将超过合同容量。"),
    ("imbalance", "三相电流或电压不平衡超过比例并持续一段时间。"),
    ("power_factor", "有负荷时功率因数低于限值并持续一段时间。"),
    ("dormitory_load", "房间电表出现发热电器的特征：功率阶跃上升、功率因数接近 1 且保持平稳。"),
    ("expression", "表达式成立。"),
];

#[cfg(test)]
mod tests {
    use super::DOCS;
    use crate::rules::RULE_KINDS;

    #[test]
    fn every_kind_is_told_in_chinese() {
        let kinds: Vec<&str> = RULE_KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(DOCS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), kinds);
    }
}
