//! The list of all kinds of receiver.

use std::ops::Deref;

use super::kind::ChannelKind;
use super::{alertmanager, email, pagerduty, slack, webhook};

/// Declares [`Channel`] from the list.
macro_rules! channels {
    ($( $(#[doc = $doc:literal])+ $name:ident($settings:ty), )*) => {
        /// The settings of each kind of channel.
        #[derive(Debug, Clone)]
        pub enum Channel {
            $( $(#[doc = $doc])+ $name($settings), )*
        }

        impl Deref for Channel {
            type Target = dyn ChannelKind;

            fn deref(&self) -> &Self::Target {
                match self {
                    $( Self::$name(settings) => settings, )*
                }
            }
        }
    };
}

channels! {
    /// SMTP.
    Email(email::EmailSettings),
    /// Slack incoming webhook.
    Slack(slack::SlackSettings),
    /// Any HTTP endpoint.
    Webhook(webhook::WebhookSettings),
    /// PagerDuty's Events API v2.
    PagerDuty(pagerduty::PagerDutySettings),
    /// Another Alertmanager.
    Alertmanager(alertmanager::AlertmanagerSettings),
}
