//! A school's list of persons as a spreadsheet writes it: which column is what, and every line that is not right.
//!
//! What stands in a cell may name somebody, so no message repeats it.

use crate::document::sheet;
use crate::model::person::MAX_PEOPLE;
use crate::model::{Person, PersonRef, Personal, Role, SiteKey, Text, Wall};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::collections::HashMap;

/// Longest card number, characters.
const MAX_CARD_CHARS: usize = 64;

/// Where something is wrong, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column of the table, from 1; 0 is the line as a whole.
    pub(super) column: usize,
    /// What, and what to write instead.
    pub(super) what: Text,
}

/// What a list says.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Everybody on a good line.
    pub(super) people: Vec<(PersonRef, Person)>,
    /// Everything that is wrong.
    pub(super) slips: Vec<Slip>,
    /// Columns that are not read, and why.
    pub(super) unread: Vec<Text>,
    /// The name of its encoding.
    pub(super) encoding: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Card,
    Person,
    Role,
    Group,
    PlatformId,
    ValidFrom,
    ValidUntil,
    /// It names somebody and is never read.
    Name,
}

/// The names of columns, in lower case.
const COLUMNS: &[(Column, &[&str])] = &[
    (
        Column::Card,
        &["卡号", "卡片号", "物理卡号", "人员编号", "工号", "card", "card_no", "card number", "number"],
    ),
    (Column::Person, &["假名", "person", "pseudonym"]),
    (Column::Role, &["角色", "身份", "人员类型", "role"]),
    (Column::Group, &["班级", "部门", "年级班级", "class", "group", "department"]),
    (Column::PlatformId, &["平台编号", "平台id", "platform_id", "platform id"]),
    (Column::ValidFrom, &["有效期起", "生效日期", "开始日期", "valid_from", "valid from"]),
    (Column::ValidUntil, &["有效期止", "失效日期", "结束日期", "valid_until", "valid until"]),
    (
        Column::Name,
        &[
            "姓名",
            "学生姓名",
            "家长姓名",
            "名字",
            "name",
            "full name",
            "身份证",
            "身份证号",
            "证件号",
            "id number",
            "学籍号",
            "电话",
            "手机",
            "手机号",
            "联系电话",
            "phone",
            "telephone",
            "mobile",
            "照片",
            "photo",
            "住址",
            "家庭住址",
            "address",
            "性别",
            "出生日期",
            "birthday",
        ],
    ),
];

const ROLES: &[(Role, &[&str])] = &[
    (Role::Student, &["student", "学生"]),
    (Role::Staff, &["staff", "teacher", "教师", "老师", "教职工", "职工", "教工"]),
    (Role::Guard, &["guard", "保安", "门卫"]),
    (Role::Visitor, &["visitor", "访客", "家长"]),
    (Role::Contractor, &["contractor", "外包", "施工", "合作单位"]),
    (Role::Other, &["other", "其他", "其它"]),
];

impl Roster {
    /// Reads a list; times are those of `zone`, pseudonyms those of `key`.
    pub(super) fn read(bytes: &[u8], key: &SiteKey, zone: &TimeZone) -> Self {
        let mut roster = Self::default();
        let Some((text, encoding)) = sheet::decoded(bytes) else {
            let line = bytes.iter().filter(|b| **b == b'\n').count().min(1);
            roster.slip(
                line,
                0,
                "文件既不是 UTF-8 也不是 GBK；请另存为“CSV UTF-8”",
                "the file is neither UTF-8 nor GBK: save it as \"CSV UTF-8\"",
            );
            return roster;
        };
        roster.encoding = encoding;
        let mut lines = sheet::lines(&text).into_iter();
        let Some((line, heads)) = lines.next() else {
            roster.slip(1, 0, "文件是空的", "the file is empty");
            return roster;
        };
        let columns = roster.columns(line, &heads);
        if !roster.slips.is_empty() {
            return roster;
        }
        let mut first: HashMap<PersonRef, usize> = HashMap::new();
        for (line, cells) in lines {
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if roster.people.len() >= MAX_PEOPLE {
                roster.slip(
                    line,
                    0,
                    format!("超过 {MAX_PEOPLE} 人"),
                    format!("there are more than {MAX_PEOPLE} persons"),
                );
                break;
            }
            let Some((who, person)) = roster.line(line, &columns, &cells, key, zone) else { continue };
            if let Some(before) = first.get(&who) {
                let (zh, en) =
                    (format!("与第 {before} 行是同一张卡"), format!("the same card as on line {before}"));
                roster.slip(line, 1, zh, en);
                continue;
            }
            first.insert(who.clone(), line);
            roster.people.push((who, person));
        }
        roster
    }

    fn slip(&mut self, line: usize, column: usize, zh: impl Into<String>, en: impl Into<String>) {
        self.slips.push(Slip { line, column, what: Text::new(zh, en) });
    }

    /// What each column is; `None` where it is not read.
    fn columns(&mut self, line: usize, heads: &[String]) -> Vec<Option<Column>> {
        let mut columns: Vec<Option<Column>> = Vec::new();
        for (head, number) in heads.iter().zip(1..) {
            let head = head.trim();
            let lower = head.to_lowercase();
            let found =
                COLUMNS.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(column, _)| *column);
            match found {
                Some(Column::Name) => {
                    self.unread.push(Text::new(
                        format!("第 {number} 列“{head}”不读取：姓名等个人信息从不存储"),
                        format!(
                            "column {number} ('{head}') is not read: names and the like are never stored"
                        ),
                    ));
                    columns.push(None);
                }
                Some(column) if columns.contains(&Some(column)) => {
                    self.slip(line, number, "这一列出现了两次", "this column stands here twice");
                }
                Some(column) => columns.push(Some(column)),
                None if head.is_empty() => columns.push(None),
                None => {
                    self.slip(
                        line,
                        number,
                        format!("不认识的列“{head}”；可用：卡号、角色、班级、平台编号、有效期起、有效期止"),
                        format!("unknown column '{head}'; known: card, role, class, platform_id, valid_from, valid_until"),
                    );
                    columns.push(None);
                }
            }
        }
        let has = |column| columns.contains(&Some(column));
        let (identified, role) = (has(Column::Card) || has(Column::Person), has(Column::Role));
        if !identified {
            self.slip(line, 0, "缺少“卡号”列", "the column 'card' is missing");
        }
        if !role {
            self.slip(line, 0, "缺少“角色”列", "the column 'role' is missing");
        }
        columns
    }

    /// Who is on a line; `None` when something on it is wrong, which is noted.
    fn line(
        &mut self,
        line: usize,
        columns: &[Option<Column>],
        cells: &[String],
        key: &SiteKey,
        zone: &TimeZone,
    ) -> Option<(PersonRef, Person)> {
        let slips = self.slips.len();
        let (mut who, mut role) = (None, None);
        let (mut group, mut platform_id, mut valid_from, mut valid_until) = (None, None, None, None);
        if cells.len() > columns.len() {
            self.slip(
                line,
                columns.len() + 1,
                "这一行的列比表头多",
                "this line has more columns than the first",
            );
        }
        for ((cell, column), number) in cells.iter().zip(columns).zip(1..) {
            let (Some(column), cell) = (column, cell.trim()) else { continue };
            if cell.is_empty() {
                continue;
            }
            let outcome = match column {
                Column::Card => {
                    card(cell).map(|()| who = Some(Personal::new(cell.to_owned()).pseudonym(key)))
                }
                Column::Person => match PersonRef::from_digits(cell) {
                    Some(person) => {
                        who = Some(person);
                        Ok(())
                    }
                    None => Err(Text::new(
                        "应是 32 位十六进制假名",
                        "expected a pseudonym of 32 hexadecimal digits",
                    )),
                },
                Column::Role => role_of(cell).map(|found| role = Some(found)),
                Column::Group => {
                    group = Some(cell.to_owned());
                    Ok(())
                }
                Column::PlatformId => {
                    platform_id = Some(cell.to_owned());
                    Ok(())
                }
                Column::ValidFrom => moment(cell, zone, false).map(|at| valid_from = Some(at)),
                Column::ValidUntil => moment(cell, zone, true).map(|at| valid_until = Some(at)),
                Column::Name => Ok(()),
            };
            if let Err(what) = outcome {
                self.slips.push(Slip { line, column: number, what });
            }
        }
        if self.slips.len() > slips {
            return None;
        }
        let (Some(who), Some(role)) = (who, role) else {
            self.slip(line, 0, "卡号和角色都必须写", "the card and the role must be there");
            return None;
        };
        let person = Person { role, group, platform_id, valid_from, valid_until };
        match person.check() {
            Ok(()) => Some((who, person)),
            Err(what) => {
                self.slips.push(Slip { line, column: 0, what });
                None
            }
        }
    }
}

/// Whether a cell can be the number that a reader sends; what the reader sends is what counts, leading zeros and all.
fn card(cell: &str) -> Result<(), Text> {
    let rounded = cell.contains(['E', 'e']) && cell.contains(['+', '.']);
    if rounded {
        return Err(Text::new(
            "卡号被表格软件改成了科学计数法；请把这一列设为文本格式后重新填写",
            "a spreadsheet has rounded this card number: format the column as text and fill it in again",
        ));
    }
    let good = cell.chars().count() <= MAX_CARD_CHARS
        && cell.chars().all(|c| c.is_ascii_graphic() || c.is_alphanumeric());
    good.then_some(()).ok_or_else(|| {
        Text::new(
            "卡号应与读卡器上报的一致：最多 64 个字母或数字，中间没有空格",
            "expected the card number as the reader sends it: at most 64 letters or digits without spaces",
        )
    })
}

fn role_of(cell: &str) -> Result<Role, Text> {
    let lower = cell.to_lowercase();
    ROLES.iter().find(|(_, words)| words.contains(&lower.as_str())).map(|(role, _)| *role).ok_or_else(|| {
        Text::new(
            "不认识的角色；可用：学生、教职工、保安、访客、外包、其他",
            "unknown role; expected student, staff, guard, visitor, contractor or other",
        )
    })
}

/// A day or a moment; a validity that ends on a day holds to its end.
fn moment(cell: &str, zone: &TimeZone, end: bool) -> Result<Wall, Text> {
    let wrong = || {
        Text::new(
            "应是日期（2026-09-01）或时间（2026-09-01 08:00）",
            "expected a day (2026-09-01) or a moment (2026-09-01 08:00)",
        )
    };
    let day = cell.split([' ', 'T']).next().and_then(sheet::day).ok_or_else(wrong)?;
    let time = cell.split([' ', 'T']).nth(1);
    let at: DateTime = match time {
        Some(time) => {
            let time =
                if time.matches(':').count() == 1 { format!("{time:0>5}:00") } else { format!("{time:0>8}") };
            format!("{day}T{time}").parse().map_err(|_| wrong())?
        }
        None if end => day.tomorrow().map_err(|_| wrong())?.into(),
        None => day.into(),
    };
    let zoned = at.to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(Wall(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SiteKey {
        SiteKey::new([7; 32])
    }

    fn read(bytes: &[u8]) -> Roster {
        Roster::read(bytes, &key(), &TimeZone::UTC)
    }

    const GOOD: &str = "卡号,姓名,角色,班级,有效期止\r\n0012345678,张三,学生,2026级3班,2026-09-01\r\n\
                        \"0012345679\",\"李,四\",老师,,\r\n\r\n";

    #[test]
    fn the_same_list_is_read_in_every_encoding() {
        let gbk = encoding_rs::GBK.encode(GOOD).0.into_owned();
        let marked = [b"\xEF\xBB\xBF", GOOD.as_bytes()].concat();
        let utf16: Vec<u8> =
            [0xFEFF].into_iter().chain(GOOD.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for (bytes, encoding) in
            [(GOOD.as_bytes().to_vec(), "UTF-8"), (gbk, "GBK"), (marked, "UTF-8"), (utf16, "UTF-16LE")]
        {
            let roster = read(&bytes);
            assert_eq!((roster.slips, roster.encoding), (vec![], encoding));
            assert_eq!(roster.unread.len(), 1, "the name is not read");
            let [(who, student), (_, teacher)] = roster.people.as_slice() else { panic!("two persons") };
            assert_eq!(*who, Personal::new("0012345678".to_owned()).pseudonym(&key()));
            assert_eq!((student.role, student.group.as_deref()), (Role::Student, Some("2026级3班")));
            // To the end of the day.
            assert_eq!(student.valid_until, Some(Wall(1_788_307_200_000)));
            assert_eq!(
                (teacher.role, teacher.group.as_deref(), teacher.valid_until),
                (Role::Staff, None, None)
            );
        }
    }

    #[test]
    fn every_slip_is_told_with_its_line_and_column_and_nobodys_number() {
        let text = "card\trole\tclass\tvalid_until\n1.23E+09\tstudent\n77777777\tking\n77777778\tstudent\tx\tsoon\n\
                    88888888\tstudent\n88888888\tstaff\n99999999\tstudent\t11010519491231002X\n\
                    \tstudent\n66666666\tstudent\ta\t2026/9/1 8:05\n1\tstaff\ta\t\textra\n";
        let roster = read(text.as_bytes());
        let at: Vec<(usize, usize)> = roster.slips.iter().map(|slip| (slip.line, slip.column)).collect();
        assert_eq!(at, [(2, 1), (3, 2), (4, 4), (6, 1), (7, 0), (8, 0), (10, 5)]);
        assert_eq!(roster.people.len(), 2);
        let told = format!("{:?}", roster.slips);
        for number in ["77777777", "88888888", "99999999", "1.23E", "11010519491231002X"] {
            assert!(!told.contains(number), "{told}");
        }
    }

    #[test]
    fn a_table_that_is_none_is_told_once() {
        for (text, slips) in [
            ("", 1),
            ("card,role\n", 0),
            ("role\nstudent\n", 1),
            ("卡号\n1\n", 1),
            ("card,card,role\n", 1),
            ("card,role,shoe\n1,student,44\n", 1),
        ] {
            let roster = read(text.as_bytes());
            assert_eq!(roster.slips.len(), slips, "{text}: {:?}", roster.slips);
            assert!(roster.people.is_empty());
        }
        assert_eq!(read(b"\x81\x20\xff\n").slips.len(), 1);
    }
}
