//! Fetching from a hub, which here is a server on this machine.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use super::model_store::{run, save_embedded};

/// A hub with one repository. The first time the weights are asked for, the connection breaks half-way.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut broken = false;
            for stream in listener.incoming().flatten() {
                answer(stream, &files, &log, &mut broken);
            }
        });
        Self { endpoint, asked }
    }
}

/// Answers one request; a client that goes away is its own business.
fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    log: &Mutex<Vec<String>>,
    broken: &mut bool,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut range = None;
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = value.strip_prefix("bytes=").map(str::to_owned);
        }
    }
    log.lock()
        .unwrap()
        .push(format!("{path} {}", range.clone().unwrap_or_default()));
    let mut reply = |status: &str, headers: &str, length: usize, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        );
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        // What was sent must arrive before the connection goes.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 1]);
    };
    if path.starts_with("/api/models/org/tiny") {
        let siblings: Vec<_> = files
            .keys()
            .map(|name| serde_json::json!({"rfilename": name}))
            .collect();
        let body = serde_json::json!({"sha": "c0ffee", "siblings": siblings}).to_string();
        reply("200 OK", "", body.len(), body.as_bytes());
        return;
    }
    let Some((name, file)) = path
        .strip_prefix("/org/tiny/resolve/main/")
        .and_then(|name| Some((name, files.get(name)?)))
    else {
        reply("404 Not Found", "", 0, b"");
        return;
    };
    let (start, end) = range.as_deref().and_then(|r| r.split_once('-')).unwrap();
    let start: usize = start.parse().unwrap();
    let end = end
        .parse()
        .map_or(file.len(), |end: usize| end + 1)
        .min(file.len());
    let headers = format!(
        "Content-Range: bytes {start}-{}/{}\r\nETag: \"etag-of-{name}\"\r\nX-Repo-Commit: c0ffee\r\n",
        end - 1,
        file.len()
    );
    let body = &file[start..end];
    if name.ends_with(".safetensors") && body.len() > 1 && !*broken {
        *broken = true;
        reply(
            "206 Partial Content",
            &headers,
            body.len(),
            &body[..body.len() / 2],
        );
    } else {
        reply("206 Partial Content", &headers, body.len(), body);
    }
}

#[test]
fn a_model_is_fetched_into_the_cache_and_a_broken_download_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("upload");
    save_embedded(&folder);
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(name, std::fs::read(path).unwrap());
    }
    files.insert("pytorch_model.bin".to_owned(), b"pickle".to_vec());
    let size = files["model.safetensors"].len();
    // An earlier attempt died after the last byte and before the file was given its name.
    let blobs = home
        .path()
        .join(".cache/huggingface/hub/models--org--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(
        blobs.join("etag-of-tokenizer.part"),
        &files["tokenizer.json"],
    )
    .unwrap();
    let hub = Hub::start(files);
    let variables = [("HF_ENDPOINT", hub.endpoint.as_str())];
    let run = |args: &[&str]| run(args, home.path(), &variables);

    let fetched = run(&["model", "fetch", "org/tiny"]);
    assert!(fetched.success, "{}", fetched.stderr);
    assert!(
        fetched.stdout.contains("org/tiny (llama"),
        "{}",
        fetched.stdout
    );
    let place = home
        .path()
        .join(".cache/huggingface/hub/models--org--tiny/snapshots/c0ffee");
    let weights = std::fs::read(place.join("model.safetensors")).unwrap();
    assert_eq!(
        weights,
        std::fs::read(folder.join("model.safetensors")).unwrap()
    );
    for name in ["tokenizer.json", "config.json"] {
        assert_eq!(
            std::fs::read(place.join(name)).unwrap(),
            std::fs::read(folder.join(name)).unwrap()
        );
    }
    let asked = hub.asked.lock().unwrap().clone();
    let resumed = format!("/org/tiny/resolve/main/model.safetensors {}-", size / 2);
    assert!(
        asked.iter().any(|line| line.starts_with(&resumed)),
        "{asked:#?}"
    );
    assert!(asked.iter().all(|line| !line.contains("pytorch_model.bin")));
    // The configuration comes before the weights, so that an unsupported model costs nothing.
    let first = |name: &str| asked.iter().position(|line| line.contains(name)).unwrap();
    assert!(first("config.json") < first("model.safetensors"));

    // A second time only the list of files is asked for, and the cache answers without a hub.
    assert!(run(&["model", "fetch", "org/tiny"]).success);
    let again = hub.asked.lock().unwrap().clone();
    assert_eq!(again.len(), asked.len() + 1, "{again:#?}");
    assert!(run(&["model", "info", "org/tiny"]).stdout.contains("llama"));

    let none = run(&["model", "fetch", "org/none"]);
    assert!(
        !none.success && none.stderr.contains("no such repository"),
        "{}",
        none.stderr
    );
    let file = run(&["model", "fetch", "org/tiny", "--file", "a.gguf"]);
    assert!(
        !file.success && file.stderr.contains("no file \"a.gguf\""),
        "{}",
        file.stderr
    );
}

#[test]
fn without_a_connection_fetching_says_what_else_would_work() {
    let home = tempfile::tempdir().unwrap();
    // Nobody listens where a listener has just gone.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let outcome = run(
        &["model", "fetch", "org/tiny"],
        home.path(),
        &[("HF_ENDPOINT", &endpoint)],
    );
    assert!(!outcome.success);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for words in ["cannot fetch org/tiny", &endpoint, "model import PATH"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let odd = run(
        &["model", "fetch", "../etc"],
        home.path(),
        &[("HF_ENDPOINT", &endpoint)],
    );
    assert!(
        !odd.success && odd.stderr.contains("no repository"),
        "{}",
        odd.stderr
    );
}
