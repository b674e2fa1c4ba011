//! The floors: the least a receiver can do.

use std::error::Error;
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tollbell::intake::signature::{Message, PublicKey, SignedHeaders, verify};

use crate::bodies;

/// Serves until it is killed.
pub(crate) fn serve(address: &str, verifies: bool) -> Result<(), Box<dyn Error>> {
    let keys = Arc::new([PublicKey::parse(&bodies::public_key())?]);
    let app = move || {
        let route = if verifies { web::post().to(check) } else { web::post().to(read) };
        App::new().app_data(web::Data::from(Arc::clone(&keys))).route("/webhooks/telnyx", route)
    };
    let server = HttpServer::new(app).bind(address)?;
    actix_web::rt::System::new().block_on(server.run())?;
    Ok(())
}

async fn read(_body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().finish()
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
