//! The poll loop over a scripted channel, in paused time: who is asked when, and what comes of it.

use super::*;
use crate::document::Problems;
use crate::model::{EventKind, Phase, PlaceId, Reading};
use crate::profile;
use crate::runtime::{Outlet, SystemClock};
use crate::southbound::polled::{Block, Exception, Tap};
use crate::southbound::serial::codec::{Refusal, Stray};
use crate::southbound::testing::field;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

/// A profile with a point per register address.
fn profile(addresses: &[u16]) -> Arc<profile::Profile> {
    let head = "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '电表'\n\
                name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n";
    let point = |at: &u16| {
        format!(
            "[[point]]\nid = 'r{at}'\nname_zh = '量'\nname_en = 'r'\ntable = 'holding'\naddress = {at}\ntype = 'u16'\n\
             unit = '1'\n"
        )
    };
    let text: String = std::iter::once(head.to_owned()).chain(addresses.iter().map(point)).collect();
    let problems = Problems::default();
    Arc::new(profile::parse("profile.toml", &text, &problems).unwrap_or_else(|| panic!("{problems:?}")))
}

fn device(unit: u8, poll: Duration, addresses: &[u16]) -> Device {
    Device {
        id: DeviceId::new(&format!("d{unit}")).unwrap(),
        name: String::new(),
        profile: profile(addresses),
        bus: BusId::new("line").unwrap(),
        address: unit.to_string(),
        place: PlaceId::new("room").unwrap(),
        poll,
        alarmed: BTreeSet::new(),
        item: None,
    }
}

/// How long a unit takes over a read, and what it says.
type Says = Box<dyn FnMut(u8, &Ask) -> (Duration, Result<Said, ReadError>) + Send>;

/// One request as it was made: when, to whom, from which register, how long it took.
type Asked = (Instant, u8, u16, Duration);

struct Scripted {
    says: Says,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Channel for Scripted {
    fn kind(&self) -> &'static str {
        "a script"
    }
    fn is_open(&self) -> bool {
        true
    }
    fn reopen(&mut self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn ask<'a>(&'a mut self, station: Station, ask: &'a Ask) -> BoxFuture<'a, Result<Said, ReadError>> {
        Box::pin(async move {
            let Station::Unit(unit) = station else { panic!("{station:?}") };
            let address = match ask {
                Ask::Registers(block) => block.address,
                _ => u16::MAX,
            };
            let (takes, said) = (self.says)(unit, ask);
            let began = Instant::now();
            tokio::time::sleep(takes).await;
            self.asked.lock().unwrap().push((began, unit, address, takes));
            said
        })
    }
    fn take_stale(&mut self) -> u64 {
        0
    }
    fn set_tap(&mut self, _: Option<Tap>) {}
}

/// Every register holds its address.
fn right(ask: &Ask) -> Result<Said, ReadError> {
    match ask {
        Ask::Registers(block) => Ok(Said::Words((block.address..block.address + block.words).collect())),
        Ask::Write(_) => Ok(Said::Written),
        other => panic!("{other:?}"),
    }
}

fn silent() -> Result<Said, ReadError> {
    Err(ReadError::Timeout { within: SEC })
}

fn exception(exception: Exception) -> Result<Said, ReadError> {
    Err(ReadError::Refused(Refusal::Modbus(exception)))
}

/// A poll loop at work.
struct Rig {
    field: Field,
    outlet: Outlet,
    asked: Arc<Mutex<Vec<Asked>>>,
    began: Instant,
    _task: JoinSet<()>,
}

fn rig(
    devices: &[Device],
    says: impl FnMut(u8, &Ask) -> (Duration, Result<Said, ReadError>) + Send + 'static,
) -> Rig {
    let (field, outlet) = field(Arc::new(SystemClock::new()));
    let asked = Arc::default();
    let channel = Scripted { says: Box::new(says), asked: Arc::clone(&asked) };
    let bus = BusId::new("line").unwrap();
    let mut poller = Poller::new(&bus, Box::new(channel), SEC, Duration::ZERO, devices, &field);
    let (own, mut task) = (field.clone(), JoinSet::new());
    task.spawn(async move {
        let failure = poller.run(&own).await;
        panic!("{failure:?}");
    });
    Rig { field, outlet, asked, began: Instant::now(), _task: task }
}

impl Rig {
    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn links(&mut self) -> Vec<(String, Link)> {
        let mut links = Vec::new();
        while let Ok(parcel) = self.outlet.events.try_recv() {
            for input in parcel.delivery.inputs {
                if let Input::Observed(Observation { device, body: Body::Link(link), .. }) = input {
                    links.push((device.to_string(), link));
                }
            }
        }
        links
    }

    /// Readings and refused answers in the lane.
    fn taken(&mut self) -> (Vec<Reading>, Vec<Refused>) {
        let (mut readings, mut refused) = (Vec::new(), Vec::new());
        while let Ok(delivery) = self.outlet.readings.try_recv() {
            for input in delivery.inputs.clone() {
                match input {
                    Input::Observed(Observation { body: Body::Reading(reading), .. }) => {
                        readings.push(reading)
                    }
                    Input::Refused(one) => refused.push(one),
                    other => panic!("{other:?}"),
                }
            }
        }
        (readings, refused)
    }
}

#[tokio::test(start_paused = true)]
async fn m17_ten_dead_of_32_take_a_twentieth_of_the_bus_and_the_others_keep_their_grid() {
    let devices: Vec<Device> = (1..=32).map(|unit| device(unit, SEC * 10, &[1])).collect();
    let dead = |unit: u8| unit.is_multiple_of(3);
    let rig =
        rig(&devices, move |unit, ask| if dead(unit) { (SEC * 2, silent()) } else { (50 * MS, right(ask)) });
    // Ten minutes to find out who is dead, then an hour.
    tokio::time::sleep(SEC * 600).await;
    let from = Instant::now();
    tokio::time::sleep(SEC * 3600).await;
    let asked = rig.asked();
    let late: Vec<&Asked> = asked.iter().filter(|(at, ..)| *at >= from).collect();
    let spent: Duration = late.iter().filter(|(_, unit, ..)| dead(*unit)).map(|(.., takes)| *takes).sum();
    assert!(spent <= SEC * 3600 / 20, "{spent:?} of an hour");
    let mut tries = BTreeMap::new();
    for (_, unit, ..) in late.iter().filter(|(_, unit, ..)| dead(*unit)) {
        *tries.entry(*unit).or_insert(0) += 1;
    }
    assert!(tries.len() == 10 && tries.values().all(|n| *n >= 3), "each has its turn: {tries:?}");
    for unit in (1..=32).filter(|unit| !dead(*unit)) {
        let times: Vec<Instant> = late.iter().filter(|(_, u, ..)| *u == unit).map(|(at, ..)| *at).collect();
        assert!((358..=362).contains(&times.len()), "unit {unit}: {} polls of 360", times.len());
        let longest = times.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(longest <= SEC * 10 + 2100 * MS, "unit {unit} waited {longest:?}");
    }
    let whole = asked.iter().filter(|(at, unit, ..)| dead(*unit) && at.duration_since(rig.began) < SEC * 600);
    assert!(whole.count() >= 30, "each was tried until it was known to be down");
}

/// Many meters say nothing where they should say exception 02.
#[tokio::test(start_paused = true)]
async fn a_read_without_an_answer_takes_no_time_from_the_others_for_long() {
    let mut odd = device(1, SEC * 2, &[1, 50]);
    odd.alarmed.insert(crate::model::PointId::new("r50").unwrap());
    let rig = rig(&[odd, device(2, SEC * 2, &[1, 50])], |unit, ask| match ask {
        Ask::Registers(block) if unit == 1 && block.address == 50 => (SEC * 2, silent()),
        _ => (50 * MS, right(ask)),
    });
    tokio::time::sleep(SEC * 1000).await;
    let asked = rig.asked();
    let count = |unit, address| asked.iter().filter(|(_, u, a, _)| (*u, *a) == (unit, address)).count();
    assert!((5..=25).contains(&count(1, 50)), "{}", count(1, 50));
    assert!(count(1, 1) >= 450 && count(2, 1) >= 450, "{} and {} of 500", count(1, 1), count(2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_answers_again_is_back_on_its_grid_within_one_cycle() {
    let back = Instant::now() + SEC * 1000;
    let devices = [device(1, SEC * 10, &[1, 50]), device(2, SEC * 10, &[1])];
    let mut rig = rig(&devices, move |unit, ask| match unit {
        1 if Instant::now() < back => (SEC, silent()),
        _ => (20 * MS, right(ask)),
    });
    tokio::time::sleep(SEC * 2000).await;
    let answered: Vec<Instant> =
        rig.asked().iter().filter(|(at, unit, ..)| *unit == 1 && *at >= back).map(|(at, ..)| *at).collect();
    assert!(answered[0] - back <= SEC * 300, "tried at least every five minutes");
    assert!(answered[1] - answered[0] <= 100 * MS, "the rest of the round at once");
    assert!(answered[2] - answered[0] <= SEC * 10, "and on its grid: {:?}", answered[2] - answered[0]);
    assert!(answered.windows(2).skip(2).all(|w| w[1] - w[0] <= SEC * 10));
    let down = Link::Down(Fault::Timeout);
    let links: Vec<Link> = rig.links().into_iter().filter(|(d, _)| d == "d1").map(|(_, link)| link).collect();
    assert_eq!(links, [down, Link::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_command_goes_before_every_poll_and_leaves_turns_to_them() {
    // A bus that cannot keep up: there is always a poll that is due.
    let devices: Vec<Device> = (1..=10).map(|unit| device(unit, SEC, &[1])).collect();
    let rig = rig(&devices, |_, ask| (300 * MS, right(ask)));
    tokio::time::sleep(SEC * 20).await;
    let line = rig.field.commands.of(&BusId::new("line").unwrap());
    let to = DeviceId::new("d7").unwrap();
    let write = Ask::Write(profile::Write {
        table: RegisterTable::Coil,
        address: 1,
        words: vec![1],
        multiple: false,
    });
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(line.ask(&to, write.clone()).await.unwrap(), Said::Written);
        assert!(began.elapsed() <= 600 * MS, "the request in hand, and its own: {:?}", began.elapsed());
    }
    let mut many = JoinSet::new();
    for _ in 0..COMMANDS_IN_A_ROW * 3 {
        let (line, to, write) = (line.clone(), to.clone(), write.clone());
        many.spawn(async move { line.ask(&to, write).await });
    }
    while let Some(outcome) = many.join_next().await {
        assert_eq!(outcome.unwrap().unwrap(), Said::Written);
    }
    let asked = rig.asked();
    let commands = asked.iter().filter(|(_, _, address, _)| *address == u16::MAX).count();
    assert_eq!(commands, 20 + usize::from(COMMANDS_IN_A_ROW) * 3);
    let in_a_row =
        asked.chunk_by(|a, b| (a.2 == u16::MAX) == (b.2 == u16::MAX)).filter(|c| c[0].2 == u16::MAX);
    assert!(in_a_row.map(<[Asked]>::len).max().unwrap() <= usize::from(COMMANDS_IN_A_ROW));
}

#[tokio::test(start_paused = true)]
async fn a_command_always_has_an_outcome() {
    let devices = [device(1, SEC * 60, &[1])];
    let mut rig = rig(&devices, |_, ask| match ask {
        Ask::Registers(block) if block.address == 9 => (SEC * 30, right(ask)),
        Ask::Identify => (MS, exception(Exception::IllegalFunction)),
        _ => (MS, right(ask)),
    });
    let to = DeviceId::new("d1").unwrap();
    let line = rig.field.commands.of(&BusId::new("line").unwrap());
    let elsewhere = rig.field.commands.of(&BusId::new("elsewhere").unwrap());
    let read = |address| Ask::Registers(Block::of(RegisterTable::Holding, address, 1));
    assert_eq!(line.ask(&to, read(4)).await.unwrap(), Said::Words(vec![4]));
    let refused = line.ask(&to, Ask::Identify).await;
    assert!(matches!(refused, Err(CommandError::Failed { .. })), "{refused:?}");
    assert!(matches!(elsewhere.ask(&to, read(4)).await, Err(CommandError::NotConnected { .. })));
    let nobody = DeviceId::new("nobody").unwrap();
    assert!(matches!(line.ask(&nobody, read(4)).await, Err(CommandError::UnknownDevice { .. })));
    // The line hangs for 30 s: one is under way, 16 wait, one more is refused, and all are told after 10 s.
    let mut waiting = JoinSet::new();
    for n in 0..18 {
        let (line, to, read) = (line.clone(), to.clone(), read(9));
        waiting.spawn(async move { line.ask(&to, read).await });
        if n == 0 {
            tokio::time::sleep(MS).await;
        }
    }
    let began = Instant::now();
    let (mut full, mut unknown) = (0, 0);
    while let Some(outcome) = waiting.join_next().await {
        match outcome.unwrap() {
            Err(CommandError::Full { .. }) => full += 1,
            Err(CommandError::Unknown { .. }) => unknown += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((full, unknown), (1, 17));
    assert!(began.elapsed() <= SEC * 10, "{:?}", began.elapsed());
    // Those that nobody waits for any more are not sent.
    tokio::time::sleep(SEC * 120).await;
    assert_eq!(rig.asked().iter().filter(|(_, _, address, _)| *address == 9).count(), 1);
    rig._task.abort_all();
    while rig._task.join_next().await.is_some() {}
    assert!(matches!(line.ask(&to, read(4)).await, Err(CommandError::NotConnected { .. })));
}

#[tokio::test(start_paused = true)]
async fn m06_each_exception_has_its_own_policy() {
    let devices: Vec<Device> = [1, 2, 3, 4].map(|unit| device(unit, SEC * 10, &[1, 50])).into();
    let mut busy = 5;
    let mut rig = rig(&devices, move |unit, ask| {
        let Ask::Registers(block) = ask else { panic!("{ask:?}") };
        let said = match (unit, block.address) {
            (1, 50) => exception(Exception::IllegalAddress),
            (2, 1) if busy > 0 => {
                busy -= 1;
                exception(Exception::Busy)
            }
            (3, _) => exception(Exception::GatewayTarget),
            (4, _) => exception(Exception::DeviceFailure),
            _ => right(ask),
        };
        (10 * MS, said)
    });
    tokio::time::sleep(SEC * 600).await;
    let links = rig.links();
    let of = |device: &str| -> Vec<Link> {
        links.iter().filter(|(d, _)| d == device).map(|(_, link)| *link).collect()
    };
    assert_eq!(of("d1"), [Link::Up], "02: the register is left out, the device is well");
    assert_eq!(of("d2"), [Link::Down(Fault::Refused), Link::Up], "06: asked again later");
    assert_eq!(of("d3"), [Link::Down(Fault::Timeout)], "0B: the device is offline");
    assert_eq!(of("d4"), [Link::Down(Fault::Refused)], "04");
    let asked = rig.asked();
    let count = |unit, address| asked.iter().filter(|(_, u, a, _)| (*u, *a) == (unit, address)).count();
    assert_eq!(count(1, 50), 1, "not asked for again within the hour");
    assert!(count(1, 1) >= 59);
    let of_busy: Vec<u16> =
        asked.iter().filter(|(_, u, ..)| *u == 2).map(|(_, _, a, _)| *a).take(7).collect();
    assert_eq!(of_busy, [1, 1, 1, 1, 1, 1, 50], "the same is asked until it is given");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_means_nothing_is_no_success() {
    let mut rig = rig(&[device(1, SEC * 10, &[1])], |_, _| (10 * MS, Ok(Said::Words(Vec::new()))));
    tokio::time::sleep(SEC * 60).await;
    assert_eq!(rig.links(), [("d1".to_owned(), Link::Down(Fault::Protocol))]);
    let (readings, refused) = rig.taken();
    assert!(readings.is_empty() && refused.len() >= 3, "{readings:?} {refused:?}");
    assert!(refused.iter().all(|one| one.kind == "bad_reply"));
}

#[tokio::test(start_paused = true)]
async fn a_state_in_a_register_is_told_when_it_changes_and_not_at_every_poll() {
    let mut leak = device(1, SEC, &[1]);
    let text = "id = 'test-leak'\nclass = 'sensor'\nvendor = 'Test'\nmodel = 'Leak'\nname_zh = '水浸'\nname_en = 'leak'\n\
                source = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n\
                [[event]]\nkind = 'water_leak'\ntable = 'discrete'\naddress = 3\n";
    let problems = Problems::default();
    leak.profile =
        Arc::new(profile::parse("profile.toml", text, &problems).unwrap_or_else(|| panic!("{problems:?}")));
    let began = Instant::now();
    let mut rig = rig(&[leak], move |_, _| {
        let wet = began.elapsed().as_secs() / 100 % 2 == 1;
        (10 * MS, Ok(Said::Words(vec![u16::from(wet)])))
    });
    tokio::time::sleep(SEC * 450).await;
    let mut phases = Vec::new();
    while let Ok(parcel) = rig.outlet.events.try_recv() {
        for input in parcel.delivery.inputs {
            if let Input::Observed(Observation { body: Body::Event(event), retained, .. }) = input {
                phases.push((event.kind, event.phase, retained));
            }
        }
    }
    let leak = |phase| (EventKind::WaterLeak, phase, false);
    let mut expected = vec![(EventKind::WaterLeak, Phase::End, true)];
    expected.extend([Phase::Start, Phase::End, Phase::Start, Phase::End].map(leak));
    assert_eq!(phases, expected);
    assert!(rig.asked().len() > 400);
}

#[tokio::test(start_paused = true)]
async fn m09_while_many_answers_are_damaged_the_bus_asks_more_slowly() {
    let begins = Instant::now() + SEC * 100;
    let ends = begins + SEC * 100;
    let devices = [device(1, 100 * MS, &[1]), device(2, 100 * MS, &[1])];
    let mut n = 0;
    let mut rig = rig(&devices, move |_, ask| {
        n += 1;
        let collides = (begins..ends).contains(&Instant::now()) && n % 4 == 0;
        let damaged = ReadError::Strange { within: SEC, bytes: 9, last: Stray::BadSum };
        (10 * MS, if collides { Err(damaged) } else { right(ask) })
    });
    tokio::time::sleep(SEC * 300).await;
    let asked = rig.asked();
    let pauses = |from: Instant, to: Instant| -> Duration {
        let own: Vec<&Asked> = asked.iter().filter(|(at, ..)| (from..to).contains(at)).collect();
        let gaps = own.windows(2).map(|w| w[1].0 - w[0].0 - w[0].3);
        gaps.min().unwrap()
    };
    assert!(pauses(begins - SEC * 50, begins) < 50 * MS);
    assert!(pauses(ends - SEC * 30, ends) >= 200 * MS, "{:?}", pauses(ends - SEC * 30, ends));
    assert!(pauses(ends + SEC * 50, ends + SEC * 100) < 50 * MS);
    let (readings, _) = rig.taken();
    assert!(readings.iter().all(|reading| reading.value == Some(1.0)), "0 wrong values");
}

#[tokio::test(start_paused = true)]
async fn on_a_slow_bus_what_rules_judge_is_read_first() {
    let mut devices: Vec<Device> = (1..=10).map(|unit| device(unit, SEC * 2, &[1])).collect();
    devices[4].alarmed.insert(crate::model::PointId::new("r1").unwrap());
    let rig = rig(&devices, |_, ask| (500 * MS, right(ask)));
    tokio::time::sleep(SEC * 300).await;
    let asked = rig.asked();
    let count = |unit| asked.iter().filter(|(_, u, ..)| *u == unit).count();
    assert!(count(5) >= 140, "the alarmed one keeps its 2 s: {}", count(5));
    for unit in (1..=10).filter(|unit| *unit != 5) {
        assert!(count(unit) >= 40, "unit {unit} has its turns: {}", count(unit));
    }
}
