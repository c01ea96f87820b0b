//! What a client asks before it has an account.

use std::sync::Arc;

use sottovoce_proto::v1;
use sottovoce_proto::v1::server_service_server::ServerService;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::clock::now_ms;
use crate::config::Registration;

/// `sottovoce.v1.ServerService`.
#[derive(Clone, Debug)]
pub(crate) struct Info(pub(crate) Arc<App>);

#[tonic::async_trait]
impl ServerService for Info {
    async fn get_server_info(
        &self,
        _: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let registration = match self.0.registration {
            Registration::Open => v1::Registration::Open,
            Registration::Invite => v1::Registration::Invite,
            Registration::Closed => v1::Registration::Closed,
        };
        Ok(Response::new(v1::GetServerInfoResponse {
            server_name: self.0.server_name.as_str().to_owned(),
            version: concat!("sottovoce-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            registration: registration.into(),
            now_ms: now_ms(),
            max_blob_size: self.0.limits.max_blob_size,
        }))
    }
}
