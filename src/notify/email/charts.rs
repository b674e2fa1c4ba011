//! Charts within a mail: images that its HTML names by `cid:` (RFC 2392), beside it in a `multipart/related` (RFC 2387).

use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart, SinglePart};

use crate::notify::Notification;

/// The images that the HTML shows; one that it does not would be an attachment that nobody asked for.
pub(super) fn images(notification: &Notification, html: &str) -> Vec<SinglePart> {
    let named = (0..).zip(&notification.charts).map(|(n, chart)| (notification.chart_id(n), chart));
    let shown = named.filter(|(id, _)| html.contains(&format!("cid:{id}")));
    let image = shown.zip(1..).map(|((id, chart), n)| {
        let name = format!("chart-{n}.png");
        Attachment::new_inline_with_name(id, name).body(chart.png.to_vec(), png())
    });
    image.collect()
}

/// The HTML with its images.
pub(super) fn related(html: String, images: Vec<SinglePart>, boundary: &str) -> MultiPart {
    let kind = format!("multipart/related; type=\"text/html\"; boundary=\"{boundary}-html\"");
    let kind = ContentType::parse(&kind).expect("a boundary of letters and digits");
    let html = MultiPart::builder().header(kind).singlepart(SinglePart::html(html));
    images.into_iter().fold(html, MultiPart::singlepart)
}

fn png() -> ContentType {
    ContentType::parse("image/png").expect("a media type")
}
