//! What `init` has to know: options, questions for what no option says, and what is wrong with it.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use rust_decimal::Decimal;

use crate::cli::output;

/// The most that is taken as an amount: far above any account's, and exact in a rule's numbers with its six digits.
const AMOUNT_MAX: i64 = 1_000_000_000;

/// A month's budget of one who says a day's alone.
const DAYS_OF_A_MONTH: i64 = 30;

/// What the configuration is made from. What is absent is left out.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Answers {
    /// A Telnyx account by a name of your choice; more than one may be given [default: default]
    #[arg(long = "account", value_name = "NAME")]
    pub(super) accounts: Vec<String>,
    /// Public key of the account from Mission Control; without it the file takes it from a variable
    #[arg(long, value_name = "BASE64")]
    pub(super) public_key: Option<String>,
    /// File with an API key (v2): for the balance and for webhooks that were missed
    #[arg(long, value_name = "FILE")]
    pub(super) api_key_file: Option<PathBuf>,
    /// The URL under which Telnyx reaches this service
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// A mail address that is notified; more than one may be given
    #[arg(long, value_name = "ADDRESS")]
    pub(super) mail_to: Vec<String>,
    /// Sender of the mails
    #[arg(long, value_name = "ADDRESS")]
    pub(super) mail_from: Option<String>,
    /// The mail server, host:port
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) smarthost: Option<String>,
    /// User name at the mail server
    #[arg(long, value_name = "NAME")]
    pub(super) mail_user: Option<String>,
    /// File with the password for the mail server
    #[arg(long, value_name = "FILE")]
    pub(super) mail_password_file: Option<PathBuf>,
    /// File with the URL of a Slack incoming webhook
    #[arg(long, value_name = "FILE")]
    pub(super) slack_url_file: Option<PathBuf>,
    /// Notify when less than this is left on the account [shipped: 50]
    #[arg(long, value_name = "AMOUNT")]
    pub(super) low_balance: Option<Decimal>,
    /// What may be spent in a day [shipped: 100]
    #[arg(long, value_name = "AMOUNT")]
    pub(super) daily_budget: Option<Decimal>,
    /// What may be spent in a month [shipped: 2000]
    #[arg(long, value_name = "AMOUNT")]
    pub(super) monthly_budget: Option<Decimal>,
    /// A country to which calls are usual, such as US; more than one may be given [shipped: US and CA]
    #[arg(long = "home-country", value_name = "CODE")]
    pub(super) home_countries: Vec<String>,
}

/// A question, and where its answer goes.
type Question = (&'static str, fn(&Answers) -> bool, fn(&mut Answers, &str) -> Result<(), String>);

/// In their order; each is asked when its condition holds, and nothing is an answer, too.
const QUESTIONS: &[Question] = &[
    (
        "Public key from Mission Control (empty: from TELNYX_PUBLIC_KEY)",
        |it| it.public_key.is_none() && it.accounts.len() < 2,
        |it, text| {
            it.public_key = Some(text.to_owned());
            Ok(())
        },
    ),
    (
        "URL under which Telnyx reaches this service, such as https://hooks.example.com (empty: later)",
        |it| it.public_url.is_none(),
        |it, text| {
            it.public_url = Some(text.trim_end_matches('/').to_owned());
            Ok(())
        },
    ),
    (
        "File with a Telnyx API key, for the balance and missed webhooks (empty: none)",
        |it| it.api_key_file.is_none(),
        |it, text| {
            it.api_key_file = Some(text.into());
            Ok(())
        },
    ),
    (
        "Mail addresses to notify, with blanks between them (empty: no mail)",
        |it| it.mail_to.is_empty(),
        |it, text| {
            it.mail_to =
                text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
            Ok(())
        },
    ),
    (
        "Mail server, host:port, such as smtp.example.com:587",
        |it| !it.mail_to.is_empty() && it.smarthost.is_none(),
        |it, text| {
            it.smarthost = Some(text.to_owned());
            Ok(())
        },
    ),
    (
        "Sender of the mails",
        |it| !it.mail_to.is_empty() && it.mail_from.is_none(),
        |it, text| {
            it.mail_from = Some(text.to_owned());
            Ok(())
        },
    ),
    (
        "User name at the mail server (empty: none)",
        |it| !it.mail_to.is_empty() && it.mail_user.is_none(),
        |it, text| {
            it.mail_user = Some(text.to_owned());
            Ok(())
        },
    ),
    (
        "File with its password",
        |it| it.mail_user.is_some() && it.mail_password_file.is_none(),
        |it, text| {
            it.mail_password_file = Some(text.into());
            Ok(())
        },
    ),
    (
        "File with the URL of a Slack incoming webhook (empty: no Slack)",
        |it| it.slack_url_file.is_none(),
        |it, text| {
            it.slack_url_file = Some(text.into());
            Ok(())
        },
    ),
    (
        "Notify when less than this is left on the account (empty: 50)",
        |it| it.low_balance.is_none(),
        |it, text| {
            it.low_balance = Some(amount(text)?);
            Ok(())
        },
    ),
    (
        "What may be spent in a day (empty: 100)",
        |it| it.daily_budget.is_none(),
        |it, text| {
            it.daily_budget = Some(amount(text)?);
            Ok(())
        },
    ),
    (
        "Countries to which calls are usual, such as US CA (empty: these)",
        |it| it.home_countries.is_empty(),
        |it, text| {
            it.home_countries =
                text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
            Ok(())
        },
    ),
];

fn amount(text: &str) -> Result<Decimal, String> {
    text.parse().map_err(|error| format!("expected an amount such as 50 or 49.90: {error}"))
}

impl Answers {
    /// Asks for what no option says, on a terminal or from lines of standard input; its end leaves the rest out.
    pub(super) fn ask(&mut self) -> anyhow::Result<()> {
        let mut lines = io::stdin().lock().lines();
        if io::stdin().is_terminal() {
            output::progress("A few questions; Enter takes what stands in brackets.\n");
        }
        for (question, wanted, put) in QUESTIONS {
            while wanted(self) {
                output::ask(&format!("{question}:"));
                let Some(line) = lines.next().transpose()? else {
                    output::progress("");
                    return Ok(());
                };
                match line.trim() {
                    "" => break,
                    text => {
                        if let Err(mistake) = put(self, text) {
                            output::progress(&format!("  {mistake}"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The budget of a month: of one who says that of a day alone, thirty times as much, for a shipped one could be less than a
    /// day's.
    pub(super) fn monthly(&self) -> Option<Decimal> {
        self.monthly_budget.or_else(|| Some(self.daily_budget? * Decimal::from(DAYS_OF_A_MONTH)))
    }

    /// What is wrong, or missing for what was asked for; one line. The rest is found when the file is checked.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if self.accounts.is_empty() {
            self.accounts.push("default".to_owned());
        }
        // The file takes them from where it stands, and whoever answers from here.
        let files = [
            ("--api-key-file", &mut self.api_key_file),
            ("--mail-password-file", &mut self.mail_password_file),
            ("--slack-url-file", &mut self.slack_url_file),
        ];
        for (option, path) in files {
            let Some(path) = path else { continue };
            // Not shown: it is a secret.
            if is_secret(&path.to_string_lossy()) {
                return Err(format!(
                    "{option} is the path of a file: write what you gave into one, and name that"
                ));
            }
            *path = std::path::absolute(&*path).map_err(|error| error.to_string())?;
        }
        if self.public_key.is_some() && self.accounts.len() > 1 {
            return Err(
                "--public-key is for one account; with several the file takes each from a variable"
                    .to_owned(),
            );
        }
        if self.api_key_file.is_some() && self.accounts.len() > 1 {
            return Err(
                "--api-key-file is the key of one account; with several write each into the file"
                    .to_owned(),
            );
        }
        if !self.mail_to.is_empty() && (self.mail_from.is_none() || self.smarthost.is_none()) {
            return Err(
                "mail needs a sender and a mail server: --mail-from, --smarthost".to_owned()
            );
        }
        let of_mail = [
            ("--mail-from", self.mail_from.is_some()),
            ("--smarthost", self.smarthost.is_some()),
            ("--mail-user", self.mail_user.is_some()),
            ("--mail-password-file", self.mail_password_file.is_some()),
        ];
        if let (true, Some((option, _))) =
            (self.mail_to.is_empty(), of_mail.iter().find(|(_, is_given)| *is_given))
        {
            return Err(format!("{option} is about mail, and nobody gets one: --mail-to"));
        }
        let mails = self.mail_to.iter().chain(&self.mail_from);
        if let Some(wrong) =
            mails.clone().find(|it| !it.contains('@') || it.contains(char::is_whitespace))
        {
            return Err(format!("{wrong:?} is not a mail address"));
        }
        if self.mail_user.is_some() != self.mail_password_file.is_some() {
            return Err("--mail-user and --mail-password-file belong together".to_owned());
        }
        let amounts = [self.low_balance, self.daily_budget, self.monthly_budget];
        let is_fine = |amount: &Decimal| {
            *amount > Decimal::ZERO && *amount <= Decimal::from(AMOUNT_MAX) && amount.scale() <= 6
        };
        if !amounts.iter().flatten().all(is_fine) {
            return Err(format!(
                "an amount has to be above zero and {AMOUNT_MAX} at most, with six digits behind the point at most"
            ));
        }
        let code =
            |text: &String| text.len() == 2 && text.bytes().all(|it| it.is_ascii_uppercase());
        if let Some(wrong) = self.home_countries.iter().find(|text| !code(text)) {
            return Err(format!("{wrong:?} is no country code; write two capitals, such as US"));
        }
        Ok(())
    }

    /// The files that hold secrets.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.api_key_file, &self.mail_password_file, &self.slack_url_file].into_iter().flatten()
    }

    /// The receiver, if anybody is notified.
    pub(super) fn receiver(&self) -> Option<&'static str> {
        (!self.mail_to.is_empty() || self.slack_url_file.is_some()).then_some("ops")
    }

    /// The variable that holds an account's public key.
    pub(super) fn variable(&self, account: &str) -> String {
        if self.accounts.len() < 2 {
            return "TELNYX_PUBLIC_KEY".to_owned();
        }
        format!("TELNYX_PUBLIC_KEY_{}", account.to_ascii_uppercase().replace('-', "_"))
    }

    /// Variables that have to be set.
    pub(super) fn unset_variables(&self) -> Vec<String> {
        let accounts = self.accounts.iter().filter(|_| self.public_key.is_none());
        accounts.map(|account| self.variable(account)).collect()
    }

    /// The path of each account's webhooks.
    pub(super) fn paths(&self) -> Vec<String> {
        match &*self.accounts {
            [_] => vec!["/webhooks/telnyx".to_owned()],
            accounts => accounts.iter().map(|name| format!("/webhooks/telnyx/{name}")).collect(),
        }
    }
}

/// Whether this is what belongs into a file rather than the path of one: a webhook's URL, or a key of Telnyx.
fn is_secret(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://") || text.starts_with("KEY0")
}
