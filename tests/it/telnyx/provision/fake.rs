//! A small Telnyx with a memory, over real TCP: it lists, makes, changes and deletes, and fails when it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::telnyx_api::API_KEY;

/// Items on a page, however many are asked for: what is read must be read from all pages.
const PAGE_ITEMS: usize = 2;

/// The server; its threads end with the process.
pub(super) struct Fake {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
}

/// What it has and has seen.
#[derive(Default)]
pub(super) struct World {
    /// Lists by their path, such as `notification_profiles`.
    pub(super) lists: BTreeMap<String, Vec<Value>>,
    /// Calls that change something: method, path, body.
    pub(super) changes: Vec<(String, String, Value)>,
    /// The change (from 0) that is answered 500, with or without its effect.
    pub(super) fail: Option<Fail>,
    /// Paths that are answered with a status only.
    pub(super) refused: BTreeMap<String, u16>,
    /// Whether a setting is only marked when it is deleted.
    pub(super) deletes_slowly: bool,
    /// Whether changes take effect and are answered with what is no JSON: those of paths that begin so.
    pub(super) garbage: Option<&'static str>,
    /// The key that it knows.
    key: String,
    made: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Fail {
    pub(super) at: usize,
    pub(super) with_effect: bool,
}

impl Fake {
    pub(super) fn start(lists: Value) -> Self {
        let lists = serde_json::from_value(lists).unwrap();
        let world = World { lists, key: API_KEY.to_owned(), ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &world));
            }
        });
        Self { world, address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(super) fn forget_key(&self) {
        "another".clone_into(&mut self.world().key);
    }

    /// The changes so far, as `POST /path`, and none from now on.
    pub(super) fn take_changes(&self) -> Vec<String> {
        let changes = std::mem::take(&mut self.world().changes);
        changes.into_iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or_default() == 0 {
            return;
        }
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => value.trim_start_matches("Bearer ").clone_into(&mut key),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let path = path.strip_prefix("/v2/").expect("the API's path");
        let (status, answer) = lock(world).answer(method, path, query, body, &key);
        let garbage = lock(world).garbage.is_some_and(|start| path.starts_with(start));
        let answer =
            if garbage && method != "GET" { "<html>".to_owned() } else { answer.to_string() };
        let head = format!("HTTP/1.1 {status} It\r\ncontent-length: {}\r\n\r\n", answer.len());
        let mut stream = stream;
        stream.write_all((head + &answer).as_bytes()).unwrap();
    }
}

impl World {
    pub(super) fn list(&mut self, name: &str) -> &mut Vec<Value> {
        self.lists.entry(name.to_owned()).or_default()
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        body: Value,
        key: &str,
    ) -> (u16, Value) {
        if key != self.key {
            return no(401, "10009", "Authentication failed");
        }
        let (name, id) = path.split_once('/').unwrap_or((path, ""));
        if let Some(status) = self.refused.get(name) {
            return no(*status, "10010", "Authorization failed");
        }
        if method == "GET" {
            return self.page(name, query);
        }
        let number = self.changes.len();
        self.changes.push((method.to_owned(), format!("/{path}"), body.clone()));
        let fail = self.fail.filter(|fail| fail.at == number);
        if fail.is_some_and(|fail| !fail.with_effect) {
            return no(500, "10007", "Unexpected error");
        }
        let answer = match method {
            "POST" => self.make(name, body),
            "PATCH" => self.change(name, id, &body),
            "DELETE" => self.delete(name, id),
            other => panic!("{other}"),
        };
        if fail.is_some() { no(500, "10007", "Unexpected error") } else { answer }
    }

    fn page(&mut self, name: &str, query: &str) -> (u16, Value) {
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "page[number]");
        let number: usize = asked.expect("a page number").1.parse().unwrap();
        let all = self.list(name);
        let items: Vec<&Value> =
            all.iter().skip((number - 1) * PAGE_ITEMS).take(PAGE_ITEMS).collect();
        let meta = json!({"page_number": number, "page_size": PAGE_ITEMS, "total_pages": all.len().div_ceil(PAGE_ITEMS), "total_results": all.len()});
        (200, json!({"data": items, "meta": meta}))
    }

    fn make(&mut self, name: &str, mut body: Value) -> (u16, Value) {
        for (field, list) in [
            ("notification_profile_id", "notification_profiles"),
            ("notification_channel_id", "notification_channels"),
            ("notification_event_condition_id", "notification_event_conditions"),
        ] {
            let Some(id) = body.get(field).cloned() else { continue };
            if !self.list(list).iter().any(|item| item["id"] == id) {
                return no(422, "10015", "Bad request");
            }
            let refuses = |item: &Value| item["id"] == id && item["refuses"] == true;
            if self.list(list).iter().any(refuses) {
                return no(422, "10015", "Not for this account");
            }
        }
        self.made += 1;
        body["id"] = json!(format!("made-{}", self.made));
        body["created_at"] = json!(format!("2026-01-01T00:00:{:02}Z", self.made));
        if name == "notification_settings" {
            body["status"] = json!("enable-submtited");
        }
        self.list(name).push(body.clone());
        (if name == "notification_settings" { 201 } else { 200 }, json!({"data": body}))
    }

    /// Changes one; some want their name and address again.
    fn change(&mut self, name: &str, id: &str, body: &Value) -> (u16, Value) {
        let required: &[&str] = match name {
            "call_control_applications" => &["application_name", "webhook_event_url"],
            "texml_applications" => &["friendly_name", "voice_url"],
            _ => &[],
        };
        if required.iter().any(|field| body.get(field).is_none()) {
            return no(422, "10015", "Bad request");
        }
        let Some(item) = self.list(name).iter_mut().find(|item| item["id"] == id) else {
            return no(404, "10005", "Resource not found");
        };
        for (field, value) in body.as_object().unwrap() {
            item[field] = value.clone();
        }
        (200, json!({"data": item}))
    }

    /// Deletes one that nothing refers to.
    fn delete(&mut self, name: &str, id: &str) -> (u16, Value) {
        let field = match name {
            "notification_profiles" => "notification_profile_id",
            "notification_channels" => "notification_channel_id",
            _ => "",
        };
        let in_use = ["notification_channels", "notification_settings"]
            .iter()
            .any(|list| self.list(list).iter().any(|item| item[field] == id));
        if in_use {
            return no(422, "10015", "It is in use");
        }
        if name == "notification_settings" && self.deletes_slowly {
            let named = self.list(name).iter_mut().find(|item| item["id"] == id);
            named.unwrap()["status"] = json!("delete-pending");
            return (200, json!({"data": {"id": id}}));
        }
        let before = self.list(name).len();
        self.list(name).retain(|item| item["id"] != id);
        if self.list(name).len() == before {
            return no(404, "10005", "Resource not found");
        }
        (200, json!({"data": {"id": id}}))
    }
}

fn no(status: u16, code: &str, title: &str) -> (u16, Value) {
    (status, json!({"errors": [{"code": code, "title": title, "detail": "What it is about."}]}))
}
