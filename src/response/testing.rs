//! What the tests of this room stand on: a school of five responses, and the names of what happens to it.

use super::*;
use crate::model::{AlarmKey, Mono, Now, RuleId};
use crate::rules::Level;

pub(super) const T0: i64 = 1_790_000_000_000;

pub(super) fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(T0 + i64::try_from(ms).unwrap()) }
}

pub(super) fn id(text: &str) -> ResponseId {
    ResponseId::new(text).unwrap()
}

pub(super) fn control(text: &str) -> ControlId {
    ControlId::new(text).unwrap()
}

pub(super) fn given(actor: &str) -> Given {
    Given { actor: Actor::named(actor).unwrap(), note: String::new() }
}

pub(super) fn fire() -> RuleId {
    RuleId::new("always.fire").unwrap()
}

/// `door=1`, `door=1 drill`; the rest is 0.
pub(super) fn switch(name: &str, value: f64, drills: bool) -> Output {
    let does = Does::Switch { control: control(name), value, rest: Some(0.0) };
    Output { name: name.to_owned(), does, drills }
}

pub(super) fn tell(name: &str) -> Output {
    let does =
        Does::Tell { channel: ChannelId::new(name).unwrap(), text: Text::new("请注意", "attention") };
    Output { name: name.to_owned(), does, drills: false }
}

pub(super) fn response(kind: ResponseKind, outputs: Vec<Output>) -> Arc<Response> {
    let (id, name) = (id(kind.as_str()), kind.name());
    Arc::new(Response { id, kind, name, place: None, silent: false, outputs })
}

/// Every kind, with doors that some of them share; the exit is only ever brought to rest.
pub(super) fn school() -> Vec<Arc<Response>> {
    let exit = || switch("exit", 0.0, true);
    vec![
        response(ResponseKind::Hold, vec![switch("door-2", 1.0, false)]),
        response(ResponseKind::Secure, vec![switch("gate", 1.0, true), exit()]),
        response(
            ResponseKind::Lockdown,
            vec![switch("door-1", 1.0, true), switch("door-2", 1.0, false), exit(), tell("broadcast")],
        ),
        response(
            ResponseKind::Evacuate,
            vec![switch("lamp", 1.0, true), switch("door-2", 0.0, true), tell("broadcast")],
        ),
        response(ResponseKind::Shelter, vec![switch("lamp", 1.0, true)]),
    ]
}

pub(super) fn restored(
    noted: Option<&str>,
    open: &[AlarmKey],
    fire: Option<RuleId>,
) -> (Responses, Vec<Step>) {
    Responses::restore(now(0), &school(), noted, (open, fire, true))
}

pub(super) fn done() -> Answer {
    Answer::Done { back_in: None }
}

/// `door-1=1`, `broadcast!`, `broadcast.` when over, `+lockdown`, `~lockdown`, `-lockdown` for alarms; notes are left out.
pub(super) fn said(steps: &[Step]) -> Vec<String> {
    let said = |step: &Step| match step {
        Step::Switch { control, value, .. } => Some(format!("{control}={value}")),
        Step::Tell { channel, over, .. } => Some(format!("{channel}{}", if *over { '.' } else { '!' })),
        Step::Report(finding) => {
            let sign = match finding.level {
                Level::Holds => '+',
                Level::Happened => '~',
                Level::Ended => '-',
            };
            let drill = if finding.key.rule.as_str().starts_with("drill.") { " drill" } else { "" };
            Some(format!("{sign}{}{drill}", finding.key.subject))
        }
        Step::Note(..) => None,
    };
    steps.iter().filter_map(said).collect()
}

pub(super) fn noted(steps: &[Step]) -> Option<String> {
    steps.iter().rev().find_map(|step| match step {
        Step::Note(text, _) => Some(text.clone()),
        _ => None,
    })
}

/// Answers everything with the same, and whatever comes of that.
pub(super) fn answer(responses: &mut Responses, now: Now, steps: &[Step], answer: &Answer) -> Vec<Step> {
    let mut came = Vec::new();
    for step in steps {
        if let Step::Switch { ticket, .. } | Step::Tell { ticket, .. } = step {
            came.extend(responses.took(now, *ticket, answer.clone()));
        }
    }
    came
}

/// Both steps.
pub(super) fn begin(
    responses: &mut Responses,
    now: Now,
    kind: &str,
    (actor, drill): (&str, bool),
) -> Result<Vec<Step>, Refused> {
    responses.prepare(now, &id(kind), (Actor::named(actor).unwrap(), drill), "1234")?;
    responses.start(now, &id(kind), "1234", &given(actor))
}

pub(super) fn view(responses: &Responses, kind: &str) -> View {
    responses.views().into_iter().find(|view| view.spec.id.as_str() == kind).unwrap()
}

/// `door-1 done`, in turn.
pub(super) fn states(responses: &Responses, kind: &str) -> Vec<String> {
    let outputs = view(responses, kind).outputs;
    outputs.iter().map(|(output, state)| format!("{} {}", output.name, state.word())).collect()
}
