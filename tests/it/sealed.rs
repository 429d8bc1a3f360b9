//! Secrets that are sealed in their files: the command line seals them, the gateway reads them, and without the key nobody
//! does.

use crate::daemon::School;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

const SECRET: &str = "hunter2 密码";

fn school() -> School {
    School::new(
        "[[destination]]\nid = 'city'\nkind = 'shield'\nbase_url = 'https://192.0.2.9/'\napp_id = 'a'\n\
         secret_file = 'secrets/city'\n",
    )
}

async fn seal(school: &School, name: &str, typed: &str) -> (Option<i32>, String) {
    let mut command = school.command("secret", &["seal", name]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn a_sealed_secret_is_read_by_its_own_machine_alone() {
    let school = school();
    let (code, told) = seal(&school, "city", &format!("{SECRET}\n")).await;
    assert_eq!(code, Some(0), "{told}");
    let file = school.config().with_file_name("secrets").join("city");
    let key = school.data_dir().join("secret.key");
    for path in [&file, &key] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("schoolgate-sealed:v1:") && !text.contains("hunter2") && !told.contains("hunter2")
    );
    let checked = school.cli("check", &[]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let list = school.cli_ok("secret", &["list"]).await;
    assert_eq!(list, "city  sealed\n");

    // The same files on another machine.
    fs::write(&key, [7; 32]).unwrap();
    let checked = school.cli("check", &[]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(64));
    assert!(said.contains("sealed with another key") && said.contains("secret seal city"), "{said}");
    fs::remove_file(&key).unwrap();
    let checked = school.cli("check", &[]).await;
    assert!(String::from_utf8_lossy(&checked.stdout).contains("secret.key is missing"));
    fs::write(&key, [7; 31]).unwrap();
    assert!(String::from_utf8_lossy(&school.cli("check", &[]).await.stdout).contains("a key has 32 bytes"));
}

#[tokio::test]
async fn what_is_no_secret_is_not_sealed() {
    let school = school();
    for (name, typed) in
        [("city", ""), ("city", " \n"), ("city", "schoolgate-sealed:v1:AAAA"), ("../city", "x"), (".x", "x")]
    {
        assert_eq!(seal(&school, name, typed).await.0, Some(64), "{name} {typed:?}");
    }
    assert!(!school.config().with_file_name("secrets").exists());
}
