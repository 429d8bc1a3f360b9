//! Roles, rights, and the one table that says which role has which right.

use crate::model::Text;
use crate::model::event::words;
use serde::{Deserialize, Serialize};

words! {
    /// What a person who signs in, a guard room's screen or a program is there for (GB/T 22239-2019, 最小权限).
    Role {
        /// Looks at how the school stands and at its energy: the headmaster.
        Viewer = "viewer",
        /// Takes alarms, day and night.
        Guard = "guard",
        /// The screen of a guard room: signed in for months, and good for the desk alone.
        Kiosk = "kiosk",
        /// Installs and mends.
        Technician = "technician",
        /// Gives the others their accounts; may do what guards and technicians may.
        Admin = "admin",
        /// Reads what was done, and does nothing.
        Auditor = "auditor",
        /// Answers for what is known of persons.
        Privacy = "privacy",
    }
}

words! {
    /// What a request needs.
    Right {
        /// Nothing: whoever reaches the gateway may.
        Open = "open",
        /// To be signed in, whoever it is: one's own account.
        Own = "own",
        /// To see how devices, places, areas and alarms stand.
        See = "see",
        /// To see energy and water over time.
        Energy = "energy",
        /// To acknowledge, reset and confirm alarms, and to follow hazards up.
        Act = "act",
        /// To keep alarms quiet for a while.
        Hush = "hush",
        /// To arm and disarm areas.
        Arm = "arm",
        /// To begin and end lockdown, evacuation and the like, and musters.
        Respond = "respond",
        /// To begin and end drills.
        Drill = "drill",
        /// To switch outputs of devices.
        Control = "control",
        /// To look at pictures of alarms.
        Pictures = "pictures",
        /// To read reports of shifts and periods.
        Reports = "reports",
        /// To see what was refused, what is unknown, and how uploads and the machine are doing.
        Diagnose = "diagnose",
        /// To look for devices, ask one on the spot, try rules on the past, make backups and exports of readings.
        Work = "work",
        /// To know who is who: the table of persons, tracks and their export.
        Persons = "persons",
        /// To agree to an export that another person asked for.
        Approve = "approve",
        /// To read and verify the audit trail.
        Audit = "audit",
        /// To give and take accounts and tokens.
        Accounts = "accounts",
    }
}

impl Right {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Open => Text::new("无需登录", "open"),
            Self::Own => Text::new("自己的账号", "one's own account"),
            Self::See => Text::new("查看状态和报警", "see states and alarms"),
            Self::Energy => Text::new("查看能耗", "see energy"),
            Self::Act => Text::new("处理报警和隐患", "act on alarms and hazards"),
            Self::Hush => Text::new("搁置、停用报警", "keep alarms quiet"),
            Self::Arm => Text::new("布防撤防", "arm and disarm"),
            Self::Respond => Text::new("封控、疏散、清点", "lockdown, evacuation, muster"),
            Self::Drill => Text::new("演练", "drills"),
            Self::Control => Text::new("控制输出", "switch outputs"),
            Self::Pictures => Text::new("查看报警照片", "pictures of alarms"),
            Self::Reports => Text::new("报表", "reports"),
            Self::Diagnose => Text::new("诊断", "diagnose"),
            Self::Work => Text::new("搜索设备、试规则、备份、导出", "discovery, trials, backups, exports"),
            Self::Persons => Text::new("人员信息", "persons"),
            Self::Approve => Text::new("审批人员导出", "agree to exports of persons"),
            Self::Audit => Text::new("审计日志", "the audit trail"),
            Self::Accounts => Text::new("账号和令牌", "accounts and tokens"),
        }
    }
}

impl Role {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Viewer => Text::new("查看", "viewer"),
            Self::Guard => Text::new("值班", "guard"),
            Self::Kiosk => Text::new("值班室屏幕", "guard-room screen"),
            Self::Technician => Text::new("运维", "technician"),
            Self::Admin => Text::new("管理员", "administrator"),
            Self::Auditor => Text::new("审计", "auditor"),
            Self::Privacy => Text::new("个人信息保护负责人", "privacy officer"),
        }
    }

    /// Whether whoever has this role has that right.
    #[must_use]
    pub fn may(self, right: Right) -> bool {
        matches!(right, Right::Open | Right::Own) || self.rights().contains(&right)
    }

    /// Whether it has every right that another has.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.rights().iter().all(|right| self.may(*right))
    }

    fn rights(self) -> &'static [Right] {
        use Right::{
            Accounts, Act, Approve, Arm, Audit, Control, Diagnose, Drill, Energy, Hush, Persons, Pictures,
            Reports, Respond, See, Work,
        };
        match self {
            Self::Viewer => &[See, Energy, Reports],
            Self::Guard => &[See, Act, Hush, Arm, Respond, Drill, Control, Pictures, Reports],
            Self::Kiosk => &[See, Act, Respond, Pictures],
            Self::Technician => &[See, Energy, Hush, Control, Reports, Diagnose, Work],
            Self::Admin => &[
                See, Energy, Act, Hush, Arm, Respond, Drill, Control, Pictures, Reports, Diagnose, Work,
                Approve, Audit, Accounts,
            ],
            Self::Auditor => &[See, Reports, Diagnose, Audit],
            Self::Privacy => &[See, Persons, Approve, Audit],
        }
    }
}
