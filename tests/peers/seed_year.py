"""Fills a Schoolgate database with roll-ups of a year: days, and the hours of its last weeks, of meters `m000`, `m001`, …

    seed_year.py DATABASE METERS UNTIL [DAYS [HOUR_DAYS]]

UNTIL is a moment in ISO 8601 or `now`; whole local days (UTC+8) before it are written. The database must have been made
by the gateway, which must not run. A meter takes 100 kWh on weekdays and 20 kWh at weekends, a hundredth more for each
meter; 70 % of it between 8 and 18 o'clock.
"""

import sqlite3
import sys
from datetime import datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=8))
LESSONS = range(8, 18)


def ms(moment):
    return int(moment.timestamp() * 1000)


def day_kwh(day, meter):
    return (100.0 if day.weekday() < 5 else 20.0) * (1 + meter / 100)


def hour_kwh(hour, meter):
    share = 0.7 / len(LESSONS) if hour.hour in LESSONS else 0.3 / (24 - len(LESSONS))
    return day_kwh(hour, meter) * share


def row(series, start, end, kwh):
    return (series, ms(start), ms(end), 96, kwh * 96, kwh, kwh, kwh, kwh, 0)


def main():
    database, meters, until = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    days, hour_days = (int(arg) for arg in (sys.argv[4:] + ["430", "40"][len(sys.argv[4:]):])[:2])
    until = datetime.now(ZONE) if until == "now" else datetime.fromisoformat(until).astimezone(ZONE)
    last = until.replace(hour=0, minute=0, second=0, microsecond=0)
    db = sqlite3.connect(database)
    ids = []
    with db:
        for meter in range(meters):
            cursor = db.execute(
                "insert into series (device, point, unit, kind) values (?, 'energy_import', 'kWh', 'counter')",
                (f"m{meter:03}",),
            )
            ids.append(cursor.lastrowid)
        for table, step, many, kwh in [
            ("roll_up_day", timedelta(days=1), days, day_kwh),
            ("roll_up_hour", timedelta(hours=1), hour_days * 24, hour_kwh),
        ]:
            starts = [last - step * n for n in range(many, 0, -1)]
            rows = [
                row(series, start, start + step, kwh(start, meter))
                for meter, series in enumerate(ids)
                for start in starts
            ]
            if table == "roll_up_hour":
                rows.sort(key=lambda one: (one[1], one[0]))
            columns = "series, start, ends, count, sum, min, max, last, delta, revision"
            db.executemany(f"insert into {table} ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("pragma wal_checkpoint(truncate)")
    print(ms(last))


main()
