//! Writing to a device and reading it back, by the bus that polls it.

use crate::config::Device;
use crate::control::{NotWritten, Spec};
use crate::model::{Body, Delivery, DeviceId, Input, Observation, PointId, Stamp, Text};
use crate::profile::{RegisterSpan, Write};
use crate::runtime::Chain;
use crate::southbound::Field;
use crate::southbound::polled::{Ask, Block, CommandError, Commands, Exception, ReadError, Said};
use crate::southbound::serial::codec::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for one answer, the wait for the bus included; what was not sent by then never is.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// The ways to the devices.
pub(super) struct Wire {
    devices: Arc<BTreeMap<DeviceId, Device>>,
    field: Field,
}

impl Wire {
    pub(super) fn new(devices: Arc<BTreeMap<DeviceId, Device>>, field: Field) -> Self {
        Self { devices, field }
    }

    /// Writes a value to the point of a control.
    pub(super) fn write(
        &self,
        spec: &Spec,
        value: f64,
    ) -> impl Future<Output = Result<(), NotWritten>> + Send + use<> {
        let device = self.devices.get(&spec.device);
        let write = device.ok_or_else(gone).and_then(|device| write_of(device, &spec.point, value));
        let commands = device.map(|device| self.field.commands.of(&device.bus));
        let id = spec.device.clone();
        async move {
            let commands = commands.ok_or_else(|| NotWritten::Refused(gone()))?;
            match ask(&commands, &id, Ask::Write(write.map_err(NotWritten::Refused)?)).await? {
                Said::Written => Ok(()),
                Said::Words(_) | Said::Bytes(_) | Said::Identity(_) => {
                    Err(NotWritten::Unclear(Text::same("?")))
                }
            }
        }
    }

    /// Reads the point that tells whether it was done. What is read goes into the pipe, too.
    pub(super) fn read(&self, spec: &Spec) -> impl Future<Output = Result<f64, Text>> + Send + use<> {
        let (device, point) = spec.read_back.clone();
        let device = self.devices.get(&device).cloned();
        let field = self.field.clone();
        async move {
            let device = device.ok_or_else(gone)?;
            let span = span_of(&device, &point, &field).ok_or_else(gone)?;
            let block = Block::of(span.table, span.address, span.words);
            let commands = field.commands.of(&device.bus);
            let said = ask(&commands, &device.id, Ask::Registers(block)).await.map_err(|not| match not {
                NotWritten::Refused(why) | NotWritten::Unclear(why) => why,
            })?;
            let Said::Words(words) = said else { return Err(gone()) };
            let seen = observed(&device, span, &words, &field);
            let found = seen.iter().find_map(|seen| match &seen.body {
                Body::Reading(reading) if reading.point == point => Some(reading.clone()),
                _ => None,
            });
            let inputs = seen.into_iter().map(Input::Observed).collect();
            let delivery = Delivery { bus: Some(device.bus.clone()), key: None, inputs };
            // A gateway that stops stores no more readings.
            field.inlet.offer(delivery).ok();
            match found {
                Some(reading) if reading.quality.doubt().is_none() => reading.value.ok_or_else(gone),
                _ => Err(Text::new("回读值不可信", "the value that is read back cannot be trusted")),
            }
        }
    }
}

fn write_of(device: &Device, point: &PointId, value: f64) -> Result<Write, Text> {
    device.profile.write(point.as_str(), value)
}

/// Checked when the configuration was read; here so that nothing panics.
fn gone() -> Text {
    Text::new("设备或测点不在配置里", "the device or the point is not configured")
}

async fn ask(commands: &Commands, device: &DeviceId, ask: Ask) -> Result<Said, NotWritten> {
    match timeout(ASK_WITHIN, commands.ask(device, ask)).await {
        Ok(answered) => answered.map_err(|error| judged(&error)),
        Err(_) => {
            let secs = ASK_WITHIN.as_secs();
            Err(NotWritten::Unclear(Text::new(
                format!("{secs} 秒内没有结果"),
                format!("no outcome within {secs} s"),
            )))
        }
    }
}

/// Whether nothing was done, or nobody knows.
fn judged(error: &CommandError) -> NotWritten {
    let en = Chain(error).to_string();
    match error {
        CommandError::NotConnected { .. } => {
            NotWritten::Refused(Text::new("总线没有连接上：请检查网线、电源和转换器", en))
        }
        CommandError::UnknownDevice { .. } => NotWritten::Refused(Text::new("总线上没有这台设备", en)),
        CommandError::Full { .. } => NotWritten::Refused(Text::new("总线上排队的命令太多，请稍后再试", en)),
        CommandError::Unknown { .. } => NotWritten::Unclear(Text::new("总线在期限内没有结果", en)),
        CommandError::Failed { cause, .. } => {
            let text = Text::new(cause.fault().advice().zh, en);
            match cause {
                // The device may be at work on it, or the converter lost its answer.
                ReadError::Refused(Refusal::Modbus(
                    Exception::Acknowledge | Exception::DeviceFailure | Exception::GatewayTarget,
                )) => NotWritten::Unclear(text),
                ReadError::Refused(_) | ReadError::NoSuchRead { .. } | ReadError::WrongBus => {
                    NotWritten::Refused(text)
                }
                _ => NotWritten::Unclear(text),
            }
        }
    }
}

/// Where a point stands: where it is decoded from registers that hold nothing.
fn span_of(device: &Device, point: &PointId, field: &Field) -> Option<RegisterSpan> {
    device.profile.registers().into_iter().find(|span| {
        let nothing = vec![0; usize::from(span.words)];
        observed(device, *span, &nothing, field)
            .iter()
            .any(|seen| matches!(&seen.body, Body::Reading(reading) if reading.point == *point))
    })
}

fn observed(device: &Device, span: RegisterSpan, words: &[u16], field: &Field) -> Vec<Observation> {
    let now = field.clock.now().wall;
    let cx = field.context(&device.id, now);
    let decoded = device.profile.decode_registers(&cx, span.table, span.address, words);
    let seen = decoded.into_iter().map(|decoded| Observation {
        device: device.id.clone(),
        stamp: Stamp::new(decoded.device_time, now),
        body: decoded.body,
        retained: false,
    });
    seen.filter(|seen| matches!(seen.body, Body::Reading(_))).collect()
}
