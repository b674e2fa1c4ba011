//! The least a receiver can do: verify the signature and answer. The measure that tollbell's cost is set against.
//!
//! `bare ADDRESS PUBLIC_KEY`

#![expect(clippy::print_stdout, reason = "the script that runs it waits for this line")]

use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tollbell::intake::signature::{Message, PublicKey, SignedHeaders, verify};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address");
    let key = PublicKey::parse(&arguments.next().expect("a public key")).expect("a public key");
    let keys = Arc::new([key]);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&keys)))
            .route("/webhooks/telnyx", web::post().to(check))
    })
    .bind(&address)?;
    println!("listening on {address}");
    server.run().await
}

async fn check(
    request: HttpRequest,
    body: web::Bytes,
    keys: web::Data<[PublicKey; 1]>,
) -> HttpResponse {
    let header = |name| request.headers().get(name).map_or(&b""[..], |value| value.as_bytes());
    let timestamp = header("telnyx-timestamp");
    let Ok(headers) = SignedHeaders::parse(timestamp, header("telnyx-signature-ed25519")) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut message = Message::new(timestamp, body.len());
    message.push(&body);
    match verify(keys.as_slice(), &headers, message) {
        Ok(_verified) => HttpResponse::Ok().finish(),
        Err(_bad) => HttpResponse::Unauthorized().finish(),
    }
}
