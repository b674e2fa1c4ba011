//! Telnyx's notifications, brought here: a profile, a webhook channel and settings, made and taken away.
//!
//! Receives what Telnyx has and what is wanted; [`plan`] says what to do, as a value, and [`apply`] does it step by step.
//! Nothing is kept here between runs: ours is what bears our name at Telnyx (see [`profile_name`]). So a run that was
//! cut off anywhere is mended by the next, and nothing is made twice. Beside that it lists where applications,
//! profiles and connections send their webhooks, and can switch on the costs of calls. Never changes a webhook's
//! address, nor anything that somebody else made.

mod address;
mod apply;
mod webhook_settings;
mod lists;
mod plan;
mod state;

pub use address::{Address, AddressError, webhook_url};
pub use apply::{Applied, Happened, apply};
pub use plan::{Action, DesiredState, Item, Object, Plan, enable_call_cost, plan, profile_name};
pub use state::{Channel, Condition, Profile, ReadError, Setting, State, read_state};
pub use webhook_settings::{
    Destination, Kind, WebhookSetting, WebhookSettings, WrongId, read_webhook_settings,
};
