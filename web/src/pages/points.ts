// Names of points: the parts of an id, such as `energy_import_l1`, say what it is.
import { lang } from '../texts';

type Pair = readonly [zh: string, en: string];

const QUANTITIES: Record<string, Pair> = {
  energy: ['电能', 'energy'],
  energy_import: ['正向有功电能', 'energy taken'],
  energy_export: ['反向有功电能', 'energy given'],
  energy_today: ['今日电量', 'energy today'],
  reactive_energy: ['无功电能', 'reactive energy'],
  reactive_energy_import: ['正向无功电能', 'reactive energy taken'],
  reactive_energy_export: ['反向无功电能', 'reactive energy given'],
  power: ['有功功率', 'power'],
  reactive_power: ['无功功率', 'reactive power'],
  apparent_power: ['视在功率', 'apparent power'],
  power_factor: ['功率因数', 'power factor'],
  pv_power: ['光伏功率', 'photovoltaic power'],
  phase_angle: ['相角', 'phase angle'],
  voltage: ['电压', 'voltage'],
  voltage_thd: ['电压谐波畸变率', 'voltage distortion'],
  current: ['电流', 'current'],
  current_thd: ['电流谐波畸变率', 'current distortion'],
  frequency: ['频率', 'frequency'],
  temperature: ['温度', 'temperature'],
  inner_temperature: ['机内温度', 'inner temperature'],
  humidity: ['湿度', 'humidity'],
  co2: ['二氧化碳', 'CO₂'],
  pm25: ['PM2.5', 'PM2.5'],
  illuminance: ['照度', 'illuminance'],
  pressure: ['压力', 'pressure'],
  volume: ['累计用量', 'volume'],
  volume_settled: ['结算日用量', 'volume at settlement'],
  flow: ['流量', 'flow'],
  battery: ['电池电量', 'battery'],
  battery_low: ['电池电量低', 'battery low'],
  battery_voltage: ['电池电压', 'battery voltage'],
  link_quality: ['信号强度', 'link quality'],
  valve_closed: ['阀门已关', 'valve closed'],
  switched_on: ['已合闸', 'switched on'],
  occupied: ['有人', 'occupied'],
  open: ['已打开', 'open'],
  load: ['负载率', 'load'],
};

const ENDINGS: Record<string, Pair> = {
  total: ['（总）', ', total'],
  l1: ['（A相）', ', L1'],
  l2: ['（B相）', ', L2'],
  l3: ['（C相）', ', L3'],
  l1_l2: ['（AB）', ', L1-L2'],
  l2_l3: ['（BC）', ', L2-L3'],
  l3_l1: ['（CA）', ', L3-L1'],
  t1: ['（尖）', ', tariff 1'],
  t2: ['（峰）', ', tariff 2'],
  t3: ['（平）', ', tariff 3'],
  t4: ['（谷）', ', tariff 4'],
};

/** The name of a point; its id where no name is known. */
export function pointName(id: string): string {
  const at = lang.get() === 'zh' ? 0 : 1;
  const whole = QUANTITIES[id];
  if (whole) return whole[at];
  const words = id.split('_');
  for (let cut = words.length - 1; cut > 0; cut -= 1) {
    const quantity = QUANTITIES[words.slice(0, cut).join('_')];
    const ending = ENDINGS[words.slice(cut).join('_')];
    if (quantity && ending) return quantity[at] + ending[at];
  }
  return id;
}
