//! From what was written to what it means: merges the files and connects the tables.

use super::attached::{Attached, Unreadable};
use super::device::Around;
use super::ground::Drawing;
use super::names::{Names, What, at};
use super::profiles::ProfileSet;
use super::rule::Undecided;
use super::{
    Config, Site, alarm, bus, calendar, campus, channel, console, control, destination, device, ladder,
    listener, place, privacy, response, rule, site, source,
};
use crate::document::{Document, Problem, Problems, Reader, Spot};
use crate::model::Text;
use crate::rules::{self, Rule, World};
use std::collections::BTreeSet;
use std::path::Path;

/// The word for a rule.
const RULE: What = ("规则", "rule");

/// What a configuration is made of.
pub struct Sources<'a> {
    /// Name and text of each file; `gateway.toml` first.
    pub files: &'a [(String, String)],
    /// The directory that relative paths start from.
    pub base: &'a Path,
    /// The device profiles.
    pub profiles: &'a ProfileSet,
    /// Reads a file that the configuration names.
    pub read: &'a dyn Fn(&Path, Attached) -> Result<String, Unreadable>,
    /// Reads a floor plan.
    pub plan: fn(&Path) -> Result<Vec<u8>, Unreadable>,
    /// Name and text of files whose rules stand in place of those of `files`, if any.
    pub rules: Option<&'a [(String, String)]>,
}

/// Reads a configuration; problems are noted, and `None` is returned when there is any.
#[must_use]
pub fn parse(sources: &Sources<'_>, problems: &Problems) -> Option<Config> {
    let documents: Vec<Document<'_>> =
        sources.files.iter().map(|(file, text)| Document::parse(file, text, problems)).collect();
    let roots: Vec<Reader<'_>> = documents.iter().map(|d| d.reader(problems)).collect();

    let site = read_site(&roots, sources, problems);
    let gateway = site.as_ref().map_or("gateway", |site| site.gateway.as_str());
    let zone = site.as_ref().map_or_else(site::default_zone, |site| site.zone.clone());
    let (data_dir, budget_mb) = site::store(once(&roots, "store"), sources.base);
    let http = site::http(once(&roots, "http"));
    let console = console::console(once(&roots, "console"), &data_dir, sources);
    let aggregate_secs = site::uploads(once(&roots, "uploads"));
    let privacy = privacy::privacy(once(&roots, "privacy"));
    if let Some(profiles) = once(&roots, "profiles") {
        // Its value was used before this: see `load`.
        let _dir = profiles.text_opt("dir");
        profiles.finish();
    }
    let calendars = calendar::calendars(
        once(&roots, "calendar"),
        every(&roots, "calendars"),
        every(&roots, "calendar_days"),
        &zone,
        problems,
    );

    let campus = campus::campus(once(&roots, "campus"));
    let (alarms, duty) = alarm::alarms(once(&roots, "alarms"), &zone);
    let mut place_names = Names::of(("地点", "place"));
    let mut drawing = Drawing::default();
    let around = place::Around { calendars: &calendars, sources };
    let places = place::places(every(&roots, "place"), &mut place_names, &around, &mut drawing, problems);
    let mut bus_names = Names::of(("总线", "bus"));
    let mut buses = bus::buses(every(&roots, "bus"), &mut bus_names, gateway, sources);
    let mut device_names = Names::of(("设备", "device"));
    let around = Around { places: &place_names, bus_names: &bus_names, buses: &buses, sources };
    let mut devices = device::devices(every(&roots, "device"), &mut device_names, &around, &mut drawing);
    listener::attach(&mut buses, std::mem::take(&mut devices.logins), problems);
    let destinations = destination::destinations(
        every(&roots, "destination"),
        &mut Names::of(("平台", "destination")),
        sources,
    );

    let world = World {
        devices: devices.watched,
        sub_meters: devices.sub_meters,
        places: places.clone(),
        calendar: calendars.main,
        aggregate_secs,
        calendars: calendars.others,
    };
    let other: Vec<Document<'_>> = sources
        .rules
        .unwrap_or_default()
        .iter()
        .map(|(file, text)| Document::parse(file, text, problems))
        .collect();
    let ruling = if sources.rules.is_some() { &other } else { &documents };
    let mut rules = read_rules(ruling, (&device_names, &place_names), &world, &mut drawing, problems);
    drawing.guidance(every(&roots, "guidance"));
    drawing.contacts(every(&roots, "contact"));
    let ground = drawing.finish(&places, problems);
    let mut cautions = rule::cautions(every(&readers(ruling, &Problems::new()), "rule"), &rules);
    let written_rules = rule::written(every(&readers(ruling, &Problems::new()), "rule"), &rules, &world);
    let around = alarm::Around {
        places: &places,
        place_names: &place_names,
        device_names: &device_names,
        calendar: &world.calendar,
    };
    let areas = alarm::areas(every(&roots, "area"), &mut Names::of(("防区", "area")), &around);
    let always = rules::always(&world);
    let rule_names = rule_names(documents.iter().chain(&other), &always);
    let around = control::Around { device_names: &device_names, devices: &devices.good, rules: &rule_names };
    let mut controls = control::controls(once(&roots, "controls"), every(&roots, "control"), &around);
    let control_names = every(&roots, "control").iter().filter_map(|table| table.text_opt("id")).collect();
    let around = channel::Around { gateway, controls: &controls, control_names: &control_names, sources };
    let mut channel_names = Names::of(("渠道", "channel"));
    let channels = channel::channels(every(&roots, "channel"), &mut channel_names, &around);
    let around = response::Around {
        place_names: &place_names,
        controls: &controls,
        control_names: &control_names,
        channel_names: &channel_names,
        channels: &channels,
    };
    let (responses, unwise) = response::responses(every(&roots, "response"), &around);
    cautions.extend(unwise);
    let around = ladder::Around {
        channel_names: &channel_names,
        channels: &channels,
        places: &place_names,
        in_responses: response::channels(&every(&roots, "response")),
    };
    let ladders = ladder::ladders(every(&roots, "ladder"), &around, problems);
    response::inert_in_fire(&mut controls, &responses);
    for root in roots.into_iter().chain(other.iter().map(|d| d.reader(problems))) {
        let _read = root.has("rule") | root.has("case");
        root.finish();
    }
    if !problems.is_empty() {
        return None;
    }
    rules.extend(always);
    let (mut buses, pull, views, mut devices) = (buses.good, devices.pull, devices.views, devices.good);
    source::hand_over(&mut buses, &devices, pull);
    let judged = rules.iter().flat_map(|rule| rule.points());
    for (device, point) in judged.chain(controls.all.iter().flat_map(|control| control.points())) {
        if let Some(device) = devices.get_mut(&device) {
            device.alarmed.insert(point);
        }
    }
    Some(Config {
        site: site?,
        data_dir,
        budget_mb,
        http,
        console,
        aggregate_secs,
        places,
        ground,
        campus,
        alarms,
        duty,
        areas,
        buses,
        devices,
        world,
        rules,
        controls,
        responses,
        destinations,
        channels,
        views,
        ladders,
        privacy,
        written_rules,
        source: sources.files.first().map(|(file, _)| file.into()).unwrap_or_default(),
        cautions,
    })
}

/// Reads the rules; slips that only follow from a broken device or place are not told.
fn read_rules(
    documents: &[Document<'_>],
    (devices, places): (&Names, &Names),
    world: &World,
    drawing: &mut Drawing,
    problems: &Problems,
) -> Vec<Box<dyn Rule>> {
    let mut undecided = Undecided::default();
    undecided.ids.extend(devices.ids().filter(|id| !world.devices.contains_key(*id)).map(ToOwned::to_owned));
    let any_device_unknown = !undecided.ids.is_empty();
    undecided.ids.extend(places.ids().filter(|id| !world.places.contains_key(*id)).map(ToOwned::to_owned));
    let heard = Problems::new();
    let rules = {
        let roots: Vec<Reader<'_>> = documents.iter().map(|d| d.reader(&heard)).collect();
        let tables = every(&roots, "rule");
        if any_device_unknown {
            undecided.note_choices(&tables, places);
        }
        rule::rules(tables, &mut Names::of(RULE), world, drawing)
    };
    undecided.pass_on(heard, problems);
    rules
}

/// The rules written in these files, for a world that is known already; what is wrong with them is noted.
#[must_use]
pub fn rules(files: &[(String, String)], world: &World, problems: &Problems) -> Vec<Box<dyn Rule>> {
    let documents: Vec<Document<'_>> =
        files.iter().map(|(file, text)| Document::parse(file, text, problems)).collect();
    let roots: Vec<Reader<'_>> = documents.iter().map(|d| d.reader(problems)).collect();
    rule::rules(every(&roots, "rule"), &mut Names::of(RULE), world, &mut Drawing::default())
}

/// The ids of all rules, also of those that have a problem, which is told already.
fn rule_names<'d>(
    documents: impl Iterator<Item = &'d Document<'d>>,
    always: &[Box<dyn Rule>],
) -> BTreeSet<String> {
    let told = Problems::new();
    let roots: Vec<Reader<'_>> = documents.map(|d| d.reader(&told)).collect();
    let written = every(&roots, "rule").into_iter().filter_map(|rule| rule.text_opt("id"));
    written.chain(always.iter().map(|rule| rule.id().to_string())).collect()
}

fn readers<'d>(documents: &'d [Document<'d>], problems: &'d Problems) -> Vec<Reader<'d>> {
    documents.iter().map(|d| d.reader(problems)).collect()
}

/// The table `[key]` of whichever file has it; a second one is a problem.
fn once<'d>(roots: &[Reader<'d>], key: &str) -> Option<Reader<'d>> {
    let mut found: Option<Reader<'d>> = None;
    for root in roots {
        let Some(table) = root.table_opt(key) else { continue };
        if let Some(first) = &found {
            let first = at(&first.here());
            root.problem(
                key,
                (
                    format!("有两个表 [{key}]；第一个在 {first}"),
                    format!("there are two tables [{key}]; the first is at {first}"),
                ),
                ("留下一个，另一个的键移过去", "keep one of them and move its keys there"),
            );
        } else {
            found = Some(table);
        }
    }
    found
}

/// Every `[[key]]` of every file.
fn every<'d>(roots: &[Reader<'d>], key: &str) -> Vec<Reader<'d>> {
    roots.iter().flat_map(|root| root.tables(key)).collect()
}

fn read_site(roots: &[Reader<'_>], sources: &Sources<'_>, problems: &Problems) -> Option<Site> {
    if let Some(table) = once(roots, "site") {
        return site::site(table);
    }
    if !roots.iter().any(|root| root.has("site")) {
        let file = sources.files.first().map_or("gateway.toml", |(file, _)| file.as_str());
        problems.add(Problem {
            spot: Spot { file: file.into(), line: 1, column: 1, text: String::new() },
            message: Text::new("缺少表 [site]", "the table [site] is missing"),
            advice: Text::new(
                "加一行 `[site]`，下面写 `gateway = \"gw-1\"` 和 `name = \"…\"`",
                "add a line `[site]`, and below it `gateway = \"gw-1\"` and `name = \"…\"`",
            ),
        });
    }
    None
}
