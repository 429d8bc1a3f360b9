//! Certificates over the years: when they are made anew, and when somebody puts others in their place.

use super::DoorError;
use super::authority::{Authority, Kept};
use super::shown::Shown;
use crate::config::{Certificate, CertificateFiles};
use crate::model::Wall;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// 2026-11-22, 08:00 in Shanghai.
const BEGIN: Wall = Wall(1_795_305_600_000);

fn days(days: i64) -> Wall {
    BEGIN.plus_ms(days * 24 * 3_600_000)
}

fn server(dir: &Path, now: Wall) -> Kept {
    Authority::open(dir, now).unwrap().server(&["gate.school".to_owned()], now).unwrap()
}

#[test]
fn a_certificate_is_made_anew_thirty_days_before_its_end_by_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    let authority = |now| Authority::open(&tls, now).unwrap().cert_pem().to_owned();
    let (first, root) = (server(&tls, BEGIN), authority(BEGIN));
    // It is good for 397 days from the day before on.
    assert_eq!(server(&tls, days(365)).cert_pem, first.cert_pem, "31 days are left");
    let second = server(&tls, days(366));
    assert_ne!((&second.cert_pem, &second.key_pem), (&first.cert_pem, &first.key_pem), "30 days are left");
    assert_eq!(server(&tls, days(367)).cert_pem, second.cert_pem, "made once");
    assert_eq!(authority(days(366)), root, "nobody has to trust it again");
    assert!(second.cert_pem.ends_with(&root));
    let other = Authority::open(&tls, days(367)).unwrap().server(&["door.school".to_owned()], days(367));
    assert_ne!(other.unwrap().cert_pem, second.cert_pem, "other names, another certificate");
    let mode = fs::metadata(tls.join("server.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_authority_never_signs_what_would_outlive_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = |now| Authority::open(dir.path(), now).unwrap().cert_pem().to_owned();
    let first = authority(BEGIN);
    let last = 3653 - 397 - 30;
    assert_eq!(authority(days(last - 1)), first);
    assert_ne!(authority(days(last)), first);
}

#[test]
fn a_clock_that_was_ahead_when_the_certificate_was_made_does_no_lasting_harm() {
    let dir = tempfile::tempdir().unwrap();
    let ahead = server(dir.path(), days(800));
    let root = Authority::open(dir.path(), days(800)).unwrap().cert_pem().to_owned();
    let now = server(dir.path(), BEGIN);
    assert_ne!(now.cert_pem, ahead.cert_pem, "not good yet is as bad as over");
    assert!(now.cert_pem.ends_with(&root), "the authority stays, and is good already");
}

#[test]
fn a_clock_that_is_not_set_yet_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let unset = Wall(60_000);
    let made = server(dir.path(), unset);
    assert_eq!(server(dir.path(), unset).cert_pem, made.cert_pem, "made once");
    let root = Authority::open(dir.path(), unset).unwrap().cert_pem().to_owned();
    let set = server(dir.path(), BEGIN);
    assert!(
        set.cert_pem != made.cert_pem && set.cert_pem.ends_with(&root),
        "the clock is set: good from now on"
    );
    assert_eq!(server(dir.path(), unset).cert_pem, set.cert_pem, "a power cut, no battery");
}

#[test]
fn files_that_somebody_put_in_place_are_shown_and_a_broken_pair_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (base, data_dir) = (dir.path().to_owned(), dir.path().join("data"));
    let (cert, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    let put = |kept: &Kept| {
        fs::write(&cert, &kept.cert_pem).unwrap();
        fs::write(&key, &kept.key_pem).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let (old, new) = (server(&dir.path().join("a"), BEGIN), server(&dir.path().join("b"), BEGIN));
    put(&old);
    let files = Certificate::Files(CertificateFiles { base, data_dir, cert: cert.clone(), key: key.clone() });
    let listen = "127.0.0.1:0".parse().unwrap();
    let shown = Shown::new((&files, &[]), listen, dir.path(), BEGIN).unwrap();
    let first = shown.current();
    shown.look(BEGIN).unwrap();
    assert_eq!(shown.current(), first);

    fs::write(&cert, &new.cert_pem).unwrap();
    assert!(matches!(shown.look(BEGIN), Err(DoorError::Tls(_))), "the key is still that of the other");
    assert_eq!(shown.current(), first);
    fs::write(&cert, "nothing").unwrap();
    assert!(shown.look(BEGIN).is_err());
    assert_eq!(shown.current(), first);

    put(&new);
    shown.look(BEGIN).unwrap();
    assert_ne!(shown.current(), first);
}
