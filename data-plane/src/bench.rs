//! The door for the benches in `data-plane/benches`: parts of a call that are private otherwise.
//!
//! Compiled with the feature `bench` only.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use dialects::Task;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use proto::KeyHash;
use proto::v1::{self as pb, UsageEvent, resource::Body};

use crate::ledger::{CoreLedger, Ledger, Room};
use crate::pipeline::authenticate::authenticate;
use crate::pipeline::authorize::{authorize, check_route};
use crate::pipeline::decode::Call;
use crate::pipeline::route::route;
use crate::settings::SpoolFull;
use crate::snapshot::decode::Changes;
use crate::snapshot::{Snapshot, Version};

/// Judges calls of many keys by one snapshot.
pub struct Desk {
    snapshot: Snapshot,
    headers: Vec<HeaderMap>,
    call: Call,
}

impl Desk {
    /// A snapshot of so many keys in a hundred teams, each allowed three models that two deployments serve.
    pub fn with_keys(count: usize) -> Self {
        let mut changes = Changes::new();
        let mut put = |body| changes.put(pb::Resource { required_features: Vec::new(), body: Some(body) });
        put(Body::Settings(pb::Settings { num_retries: 2, ..Default::default() }));
        for number in 0..2 {
            put(Body::Deployment(pb::Deployment {
                id: format!("d-{number}"),
                model_name: "gpt-4o-mini".into(),
                provider: "openai".into(),
                upstream_model: "gpt-4o-mini".into(),
                litellm_model: "openai/gpt-4o-mini".into(),
                api_key: "sk-provider".into(),
                max_retries: -1,
                ..Default::default()
            }));
        }
        let models = || vec!["gpt-4o".to_owned(), "gpt-4o-mini".to_owned(), "text-embedding-3-small".to_owned()];
        for number in 0..100 {
            put(Body::Team(pb::Team { team_id: format!("team-{number}"), models: models(), ..Default::default() }));
        }
        let mut headers = Vec::with_capacity(count);
        for number in 0..count {
            let secret = format!("sk-bench-{number:032}");
            put(Body::Key(pb::Key {
                hash: KeyHash::of(&secret).as_bytes().to_vec().into(),
                alias: format!("key {number}"),
                user_id: format!("user-{number}"),
                team_id: format!("team-{}", number % 100),
                models: models(),
                masked: "sk-...".into(),
                ..Default::default()
            }));
            let value = HeaderValue::try_from(format!("Bearer {secret}")).ok();
            headers.push(value.into_iter().map(|value| (AUTHORIZATION, value)).collect());
        }
        let version = Version { epoch: [7; 16], revision: 1 };
        let snapshot = changes.apply(&Snapshot::empty(version), version);
        Self { snapshot, headers, call: call() }
    }

    /// How many deployments may serve a call of this key; 0 where it is refused.
    pub fn serve(&self, number: usize) -> usize {
        let judged = || {
            let headers = self.headers.get(number % self.headers.len().max(1))?;
            let caller = authenticate(&self.snapshot, headers, 1_750_000_000_000).ok()?;
            check_route(&caller, "/v1/chat/completions").ok()?;
            let mut grant = authorize(&self.snapshot, caller, &self.call).ok()?;
            let plan = route(&self.snapshot, &mut grant, &self.call).ok()?;
            Some(plan.candidates.len())
        };
        judged().unwrap_or(0)
    }
}

fn call() -> Call {
    let body = Bytes::from_static(br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}"#);
    Call {
        task: Task::Chat,
        request: dialects::openai::request::read(Task::Chat, &body).unwrap_or_default(),
        body,
        asked: "gpt-4o-mini".into(),
        call_id: "call".into(),
        client_ip: "127.0.0.1".into(),
        user_agent: None,
        session_id: None,
        end_user: None,
        tags: Vec::new(),
    }
}

/// Writes records to a spool of its own, which goes with it.
pub struct Pen {
    ledger: CoreLedger,
    event: UsageEvent,
    folder: PathBuf,
}

impl Pen {
    /// A spool in a new folder among the temporary files.
    pub fn on_a_new_spool() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("turnpike-bench-{}", std::process::id()));
        let ledger = Ledger::open(folder.clone(), Room { max_bytes: u64::MAX, when_full: SpoolFull::Refuse }, 1)?;
        let event = UsageEvent {
            event_id: vec![7; 16].into(),
            request_id: "chatcmpl-0123456789abcdef0123456789".into(),
            call_id: "0193d1a2-7b5c-7d3e-8f90-123456789abc".into(),
            call_type: "acompletion".into(),
            key_hash: vec![9; 32].into(),
            team_id: "team-17".into(),
            user_id: "user-4711".into(),
            model: "gpt-4o-mini".into(),
            model_group: "gpt-4o-mini".into(),
            deployment_id: "d-1".into(),
            provider: "openai".into(),
            api_base: "https://api.openai.com/v1".into(),
            tokens: Some(pb::Tokens { prompt: 1_000, completion: 100, total: 1_100, ..Default::default() }),
            client_ip: "10.1.2.3".into(),
            user_agent: "OpenAI/Python 1.99".into(),
            ..Default::default()
        };
        Ok(Self { ledger: CoreLedger::new(ledger, 0), event, folder })
    }

    /// The two records of a call.
    pub fn book(&self) {
        if let Ok(opened) = self.ledger.open(&self.event) {
            self.ledger.close(&self.event, opened);
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
