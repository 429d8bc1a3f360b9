//! The outer surface (GB/T 22239-2019 minimal services): the program listens where its configuration says, and nowhere else.

use crate::daemon::{School, until};
use crate::rig::free_port;
use std::collections::BTreeSet;
use std::fs;

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> BTreeSet<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("its open files");
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let names = links.filter_map(|link| link.to_str().map(str::to_owned));
    names.filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// Ports on which a process listens (TCP) or may be spoken to (UDP), each with whether it is on loopback.
fn open_ports(pid: u32) -> BTreeSet<(&'static str, u16, bool)> {
    let own = sockets(pid);
    let mut ports = BTreeSet::new();
    for (protocol, table) in [("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")] {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, state, inode) = (words[1], words[3], words[9]);
            // 0A: listening. A UDP socket that is connected to one peer (01) hears that peer alone.
            let open = if protocol == "tcp" { state == "0A" } else { state != "01" };
            if open && own.contains(inode) {
                let (host, port) = address.split_once(':').expect("address:port");
                let loopback = host == "0100007F" || host == "00000000000000000000000001000000";
                ports.insert((protocol, u16::from_str_radix(port, 16).expect("a port"), loopback));
            }
        }
    }
    ports
}

#[tokio::test]
async fn it_listens_where_the_configuration_says_and_nowhere_else() {
    let [console, mqtt, push] = [free_port(), free_port(), free_port()];
    let school = School::new(&format!(
        "[console]\nlisten = '127.0.0.1:{console}'\n\
         [[bus]]\nid = 'mqtt'\nkind = 'mqtt-listener'\nplain_listen = '127.0.0.1:{mqtt}'\n\
         [[bus]]\nid = 'push'\nkind = 'http-push'\nlisten = '127.0.0.1:{push}'\n"
    ));
    let daemon = school.start().await;
    let api: u16 = school.url("").rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let wanted = BTreeSet::from([
        ("tcp", api, true),
        ("tcp", console, true),
        ("tcp", mqtt, true),
        ("tcp", push, true),
    ]);
    // Drivers begin to listen a moment after the gateway is ready.
    until("every listener is there", async || wanted.is_subset(&open_ports(daemon.pid())).then_some(()))
        .await;
    assert_eq!(open_ports(daemon.pid()), wanted);
    let (status, _) = daemon.terminate().await;
    assert!(status.success(), "{status}");
}
