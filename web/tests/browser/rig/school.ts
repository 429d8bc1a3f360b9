// A school with a real gateway: a broker, a camera, help buttons, a smoke detector, plans, contacts and responses.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { camera, type Camera } from './camera.ts';
import { freePort, start, until, type Program } from './process.ts';

export const ROOT = new URL('../../../../', import.meta.url).pathname;
export const BINARY = process.env.SCHOOLGATE_BIN ?? join(ROOT, 'target/debug/schoolgate');
export const BUTTONS = 24;
export const PASSWORD = '校门外的三棵银杏树 2026';

/** Accounts of a claimed school, one for each role that signs in by hand. */
export const ROLES = ['viewer', 'guard', 'kiosk', 'technician', 'admin', 'auditor', 'privacy'] as const;

const PLAN = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 500"><rect width="800" height="500" fill="#f7f7f2"/>
<g fill="#dfe6ee" stroke="#556677" stroke-width="3"><rect x="80" y="60" width="320" height="180"/><rect x="480" y="60" width="240" height="180"/></g>
<ellipse cx="400" cy="340" rx="230" ry="70" fill="#d9ead3" stroke="#556677" stroke-width="3"/><path d="M330 482h140" stroke="#556677" stroke-width="10"/>
<g font-size="26" fill="#223344" font-family="sans-serif"><text x="200" y="160">教学楼</text><text x="570" y="160">食堂</text><text x="370" y="350">操场</text><text x="480" y="488">校门</text></g></svg>`;
const FLOOR = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 400"><rect width="800" height="400" fill="#f7f7f2"/>
<g fill="#ffffff" stroke="#556677" stroke-width="3"><path d="M20 20h180v160H20zM200 20h180v160H200zM380 20h180v160H380zM560 20h220v160H560zM20 240h180v140H20zM200 240h360v140H200zM560 240h220v140H560z"/></g>
<g font-size="24" fill="#223344" font-family="sans-serif"><text x="80" y="105">101</text><text x="260" y="105">102</text><text x="440" y="105">103</text><text x="640" y="105">机房</text><text x="330" y="320">图书室</text></g></svg>`;

interface Ports {
  http: number;
  console: number;
  broker: number;
  receiver: number;
}

function configuration(ports: Ports, cam: string, more: string): string {
  const buttons = Array.from({ length: BUTTONS }, (_, i) => `
[[device]]
id = "help-${i + 1}"
name = "校门一键报警 ${i + 1}"
profile = "tuya-ts0215a"
bus = "mqtt"
address = "help-${i + 1}"
place = "gate"
at = [${(0.4 + (i % 6) * 0.04).toFixed(2)}, ${(0.86 + Math.floor(i / 6) * 0.02).toFixed(2)}]
`);
  return `
[site]
gateway = "gw-test"
name = "测试小学"
[store]
dir = "data"
[profiles]
dir = "${ROOT}device-profiles"
[http]
listen = "127.0.0.1:${ports.http}"
[console]
listen = "127.0.0.1:${ports.console}"

[[place]]
id = "campus"
kind = "campus"
name = "测试小学"
plan = "campus.svg"
counts = true
[[place]]
id = "gate"
kind = "room"
name = "校门"
parent = "campus"
at = [0.5, 0.93]
[[place]]
id = "teaching"
kind = "building"
name = "教学楼"
parent = "campus"
counts = true
at = [0.3, 0.3]
[[place]]
id = "teaching-1"
kind = "floor"
name = "1层"
parent = "teaching"
plan = "floor.svg"
[[place]]
id = "machine-room"
kind = "room"
name = "机房"
parent = "teaching-1"
at = [0.84, 0.3]
[[place]]
id = "field"
kind = "room"
name = "操场"
parent = "campus"
assembly = true
at = [0.5, 0.68]

[[contact]]
name = "保卫科"
phone = "0571-8800 0001"
[[contact]]
name = "总务处"
phone = "0571-8800 0002"
for = ["fire", "energy"]

[[guidance]]
for = ["help"]
steps = ["拨打现场电话核实", "最近的保安到场", "确认后拨打 110", "通知值班校长"]
[[guidance]]
for = ["fire"]
steps = ["到场查看", "有火立即拨打 119", "组织疏散"]

[[bus]]
id = "mqtt"
kind = "mqtt"
host = "127.0.0.1"
port = ${ports.broker}
[[bus]]
id = "cameras"
kind = "onvif"
probe_secs = 10
[[device]]
id = "cam-gate"
name = "校门摄像机"
profile = "onvif-generic"
bus = "cameras"
address = "${cam}"
place = "gate"
views = ["gate", "machine-room"]
${buttons.join('')}
[[device]]
id = "smoke-1"
name = "机房烟感"
profile = "tuya-ts0205"
bus = "mqtt"
address = "smoke-1"
place = "machine-room"
at = [0.9, 0.2]
[[device]]
id = "th-1"
name = "机房温湿度"
profile = "sonoff-snzb-02ld"
bus = "mqtt"
address = "th-1"
place = "machine-room"
at = [0.75, 0.4]

[[rule]]
id = "machine-room-hot"
kind = "threshold"
devices = ["th-1"]
point = "temperature"
above = 30
unit = "°C"
alarm_class = "environment"
priority = "medium"
steps = ["打开空调", "检查机柜门"]

# None of these is broken by what the tests send; the page of rules shows them.
[[rule]]
id = "battery-low"
kind = "threshold"
devices = ["th-1"]
point = "battery"
below = 15
unit = "%"
deadband = 5
on_delay_secs = 3600
priority = "low"
[[rule]]
id = "machine-room-night"
kind = "expression"
devices = ["th-1"]
when = "temperature > 80 && !teaching"
for_secs = 600
text = "夜间机房过热"
text_en = "the machine room overheats at night"
alarm_class = "environment"
priority = "high"
[[rule]]
id = "machine-room-silent"
kind = "silent"
devices = ["th-1", "smoke-1"]
after_secs = 604800
[[rule]]
id = "gate-crowded"
kind = "count"
devices = ["cam-gate"]
event = "motion"
count = 1000
window_secs = 60
per = "place"

[[area]]
id = "lab"
name = "实验楼"
places = ["teaching"]

[[channel]]
id = "broadcast"
kind = "webhook"
name = "全校广播"
url = "http://127.0.0.1:${ports.receiver}/broadcast"
[[channel]]
id = "nobody"
kind = "webhook"
name = "宿舍楼广播"
url = "http://127.0.0.1:${ports.receiver}/refused"
[[response]]
id = "lockdown"
kind = "lockdown"
name = "全校封控"
outputs = [
  { channel = "broadcast", text = { zh = "请立即进入最近的房间，锁门", en = "lockdown" }, drills = true },
  { channel = "nobody", text = { zh = "请立即进入最近的房间，锁门", en = "lockdown" }, drills = true },
]
[[response]]
id = "evacuate"
kind = "evacuate"
outputs = [{ channel = "broadcast", text = { zh = "请立即疏散", en = "leave the building" } }]
${more}`;
}

/** The claim code in a log. */
export function claimCode(log: string): string {
  const found = /\b([0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){4})\b/.exec(log);
  if (!found?.[1]) throw new Error(`no claim code in the log:\n${log}`);
  return found[1];
}

/** Whether the console at this address answers. */
export async function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(`${url}/api/v1/session`, { rejectUnauthorized: false, timeout: 2000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}

/** Asks the plain listener as this machine's root does. */
export async function askLocally(port: number, dataDir: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const token = readFileSync(join(dataDir, 'local.token'), 'utf8').trim();
  const init = { method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

export class School {
  private gateway: Program | null = null;
  private constructor(
    readonly dir: string,
    private readonly ports: Ports,
    private readonly broker: Program,
    private readonly camera: Camera,
    private readonly receiver: Server,
  ) {}

  /** A school whose gateway runs and whom nobody has claimed; `more` is added to its configuration. */
  static async fresh(more = ''): Promise<School> {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: cargo build -p schoolgate`);
    const dir = mkdtempSync(join(tmpdir(), 'schoolgate-pages-'));
    const [http, console, broker, receiver] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const ports = { http, console, broker, receiver };
    writeFileSync(join(dir, 'mosquitto.conf'), `listener ${broker} 127.0.0.1\nallow_anonymous true\npersistence false\n`);
    const mosquitto = start('mosquitto', ['-c', join(dir, 'mosquitto.conf')], { PATH: `${process.env.PATH}:/usr/sbin` });
    const cam = await camera();
    const server = createServer((asked, answer) => {
      let text = '';
      asked.on('data', (piece: Buffer) => (text += piece.toString()));
      asked.on('end', () => {
        // It takes alarms, and no announcement of a lockdown: one output of that fails.
        answer.statusCode = asked.url === '/refused' && text.includes('锁门') ? 404 : 200;
        answer.end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(receiver, '127.0.0.1', resolve));
    writeFileSync(join(dir, 'campus.svg'), PLAN);
    writeFileSync(join(dir, 'floor.svg'), FLOOR);
    writeFileSync(join(dir, 'gateway.toml'), configuration(ports, cam.url, more), { mode: 0o600 });
    const school = new School(dir, ports, mosquitto, cam, server);
    await school.begin();
    return school;
  }

  /** A school with an account for each role. */
  static async claimed(more = ''): Promise<School> {
    const school = await School.fresh(more);
    await school.post('/api/v1/claim', { code: school.code(), name: 'admin', password: PASSWORD });
    for (const role of ROLES) {
      if (role !== 'admin') await school.post('/api/v1/accounts', { name: role, role, password: PASSWORD, actor: 'test' });
    }
    return school;
  }

  get url(): string {
    return `https://127.0.0.1:${this.ports.console}`;
  }

  /** Starts the gateway, the first time or after it was killed. */
  async begin(): Promise<void> {
    const gateway = start(BINARY, ['run', '--config', join(this.dir, 'gateway.toml')], { RUST_LOG: 'info' });
    this.gateway = gateway;
    await until(
      'the gateway answers',
      async () => {
        if (gateway.child.exitCode !== null) throw new Error(gateway.said());
        return (await answers(this.url)) || undefined;
      },
      60_000,
    ).catch((thrown: unknown) => {
      throw new Error(`the gateway does not answer:\n${gateway.said()}`, { cause: thrown });
    });
  }

  /** The code by which a fresh gateway is claimed, as its log tells it. */
  code(): string {
    return claimCode(this.log());
  }

  log(): string {
    return this.gateway?.said() ?? '';
  }

  /** Asks as this machine's root does. */
  async post(path: string, body: unknown): Promise<unknown> {
    return this.ask('POST', path, body);
  }
  async get(path: string): Promise<unknown> {
    return this.ask('GET', path);
  }
  async remove(path: string): Promise<unknown> {
    return this.ask('DELETE', path);
  }
  private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    return askLocally(this.ports.http, join(this.dir, 'data'), method, path, body);
  }

  publish(topic: string, message: unknown): void {
    execFileSync('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(this.ports.broker), '-t', topic, '-q', '1', '-m', JSON.stringify(message)]);
  }
  /** Somebody presses a help button. */
  press(button: number): void {
    this.publish(`zigbee2mqtt/help-${button}`, { action: 'emergency' });
  }
  smoke(on: boolean): void {
    this.publish('zigbee2mqtt/smoke-1', { smoke: on });
  }
  temperature(degrees: number): void {
    this.publish('zigbee2mqtt/th-1', { temperature: degrees, humidity: 50 });
  }

  /** Acknowledges and resets everything, so that the next test finds a quiet desk. */
  async quiet(): Promise<void> {
    this.smoke(false);
    this.temperature(20);
    const drill = (await this.get('/api/v1/drill')) as { drill: unknown };
    if (drill.drill) await this.post('/api/v1/drill/stop', { actor: 'test' });
    let last = '';
    const refused = (thrown: unknown): void => {
      last += String(thrown);
    };
    await until('no alarm is open', async () => {
      const { rows } = (await this.get('/api/v1/alarms?open=true')) as { rows: { id: number; latched: boolean; acknowledged: unknown }[] };
      if (rows.length === 0) return true;
      for (const { id, latched, acknowledged } of rows) {
        if (!acknowledged) await this.post(`/api/v1/alarms/${id}/acknowledge`, { actor: 'test' }).catch(refused);
        if (latched) await this.post(`/api/v1/alarms/${id}/reset`, { actor: 'test' }).catch(refused);
      }
      last = JSON.stringify(rows);
      return undefined;
    }).catch((thrown: unknown) => {
      throw new Error(`still open: ${last}`, { cause: thrown });
    });
  }

  /** The gateway says nothing any more, and its connections stay open: as behind a cable that was pulled. */
  freeze(): void {
    this.gateway?.child.kill('SIGSTOP');
  }
  thaw(): void {
    this.gateway?.child.kill('SIGCONT');
  }
  async kill(): Promise<void> {
    await this.gateway?.kill('SIGKILL');
  }
  /** Ends the gateway as its service manager would; `begin` starts it again. */
  async end(): Promise<void> {
    await this.gateway?.kill('SIGTERM');
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    await this.broker.kill();
    this.camera.stop();
    this.receiver.close();
    this.receiver.closeAllConnections();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
