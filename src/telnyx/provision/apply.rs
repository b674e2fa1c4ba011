//! A plan, done step by step.

use serde_json::{Value, json};

use super::places::is_enabled;
use super::plan::{Action, Item, Object, Plan, profile_name};
use super::state::{WEBHOOK, text};
use crate::telnyx::{ApiError, Client, Endpoint};

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It is done; with the id of what was made, where Telnyx says.
    Done(Option<String>),
    /// Telnyx said no to this one; others may succeed.
    Refused(ApiError),
    /// It failed, and the rest is left.
    Stopped(ApiError),
}

/// What came of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Steps that are done.
    pub done: usize,
    /// Steps that Telnyx refused.
    pub refused: usize,
    /// Steps that were not tried.
    pub left: usize,
    /// Whether a step failed and stopped the rest.
    pub stopped: bool,
    /// Whether that step may have taken effect all the same.
    pub in_doubt: bool,
}

/// Does what a plan says, in its order; `told` hears of each step as it happens. A setting that Telnyx refuses does not
/// stop the others; anything else does.
pub async fn apply(
    client: &Client,
    plan: &Plan,
    told: &mut dyn FnMut(&Item, &Happened),
) -> Applied {
    let mut applied = Applied::default();
    let (mut profile, mut channel) = (plan.profile.clone(), plan.channel.clone());
    let steps: Vec<&Item> = plan.steps().collect();
    for (n, &item) in steps.iter().enumerate() {
        let alone = matches!(item.object, Object::Setting { .. } | Object::CallCost { .. });
        // What holds a setting that is still there cannot go.
        if item.action == Action::Delete && !alone && applied.refused > 0 {
            applied.left = steps.len() - n;
            break;
        }
        let happened = match step(client, plan, item, profile.as_deref(), channel.as_deref()).await
        {
            Ok(id) => {
                match item.object {
                    Object::Profile => profile.clone_from(&id),
                    Object::Channel => channel.clone_from(&id),
                    Object::Setting { .. } | Object::CallCost { .. } => {}
                }
                applied.done += 1;
                Happened::Done(id)
            }
            Err(error) if alone && is_no(&error) => {
                applied.refused += 1;
                Happened::Refused(error)
            }
            Err(error) => {
                applied.stopped = true;
                applied.in_doubt = may_be_done(&error);
                applied.left = steps.len() - n - 1;
                Happened::Stopped(error)
            }
        };
        told(item, &happened);
        if applied.stopped {
            break;
        }
    }
    applied
}

/// Whether an error is about the one thing that was asked for.
fn is_no(error: &ApiError) -> bool {
    matches!(error.status(), Some(400 | 403 | 404 | 409 | 422))
        || matches!(error, ApiError::Unreadable { .. })
}

/// Whether what was asked for may have been done although there was no good answer.
fn may_be_done(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => *status >= 500,
        ApiError::Key { .. } | ApiError::Unsendable { .. } => false,
        ApiError::Timeout { .. } | ApiError::Connect { .. } | ApiError::Unreadable { .. } => true,
    }
}

async fn step(
    client: &Client,
    plan: &Plan,
    item: &Item,
    profile: Option<&str>,
    channel: Option<&str>,
) -> Result<Option<String>, ApiError> {
    let id = item.id.as_deref();
    match (item.action, &item.object) {
        (Action::Create, Object::Profile) => {
            let body = json!({"name": profile_name(&plan.url)});
            create(client, &Endpoint::NOTIFICATION_PROFILE_CREATE, &body).await
        }
        (Action::Create, Object::Channel) => {
            let body = json!({
                "notification_profile_id": profile,
                "channel_type_id": WEBHOOK,
                "channel_destination": plan.url,
            });
            create(client, &Endpoint::NOTIFICATION_CHANNEL_CREATE, &body).await
        }
        (Action::Create, Object::Setting { condition_id }) => {
            let body = json!({
                "notification_event_condition_id": condition_id,
                "notification_profile_id": profile,
                "notification_channel_id": channel,
            });
            let endpoint = Endpoint::NOTIFICATION_SETTING_CREATE;
            let answer = client.call(&endpoint, None, &[], Some(&body)).await?;
            Ok(made(&answer))
        }
        (Action::Delete, Object::Setting { .. }) => {
            delete(client, &Endpoint::NOTIFICATION_SETTING_DELETE, id).await
        }
        (Action::Delete, Object::Channel) => {
            delete(client, &Endpoint::NOTIFICATION_CHANNEL_DELETE, id).await
        }
        (Action::Delete, Object::Profile) => {
            delete(client, &Endpoint::NOTIFICATION_PROFILE_DELETE, id).await
        }
        (Action::Enable, Object::CallCost { kind, body }) => {
            let Some(endpoint) = kind.update() else { return Ok(None) };
            let answer = client.call(&endpoint, id, &[], Some(body)).await?;
            if is_enabled(&answer) {
                return Ok(item.id.clone());
            }
            let detail = "the costs of calls are still off".to_owned();
            Err(ApiError::Unreadable { endpoint: endpoint.name, detail })
        }
        _ => Ok(item.id.clone()),
    }
}

/// Makes what others refer to by its id.
async fn create(
    client: &Client,
    endpoint: &Endpoint,
    body: &Value,
) -> Result<Option<String>, ApiError> {
    let answer = client.call(endpoint, None, &[], Some(body)).await?;
    let missing = || ApiError::Unreadable {
        endpoint: endpoint.name,
        detail: "the answer does not name the id of what was made".to_owned(),
    };
    made(&answer).map(Some).ok_or_else(missing)
}

fn made(answer: &Value) -> Option<String> {
    Some(text(answer.get("data")?, "id")).filter(|id| !id.is_empty())
}

/// Deletes; what is gone already is as good.
async fn delete(
    client: &Client,
    endpoint: &Endpoint,
    id: Option<&str>,
) -> Result<Option<String>, ApiError> {
    match client.call(endpoint, id, &[], None).await {
        Ok(_) => Ok(id.map(str::to_owned)),
        Err(error) if error.status() == Some(404) => Ok(id.map(str::to_owned)),
        Err(error) => Err(error),
    }
}
