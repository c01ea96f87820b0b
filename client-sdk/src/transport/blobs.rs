//! The calls for blobs.

use std::time::Duration;

use sottovoce_engine::Refusal;
use sottovoce_proto::v1;
use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::{MAX_MESSAGE_LEN, Token, Transport, answer, refusal, signed_in, timed};

/// A download of which nothing comes for so long is begun again where it stopped.
const STALLED: Duration = Duration::from_secs(20);

/// Part of a blob, as it comes.
pub(crate) struct Pieces(Streaming<v1::DownloadBlobResponse>);

impl Transport {
    pub(crate) async fn begin_upload(
        &self,
        request: v1::BeginUploadRequest,
        token: &Token,
    ) -> Result<v1::BeginUploadResponse, Refusal> {
        Ok(answer(self.blobs().begin_upload(signed_in(timed(request), token))).await?)
    }

    pub(crate) async fn upload_part(
        &self,
        request: v1::UploadPartRequest,
        token: &Token,
    ) -> Result<v1::UploadPartResponse, Refusal> {
        Ok(answer(self.blobs().upload_part(signed_in(timed(request), token))).await?)
    }

    pub(crate) async fn finish_upload(
        &self,
        request: v1::FinishUploadRequest,
        token: &Token,
    ) -> Result<v1::FinishUploadResponse, Refusal> {
        Ok(answer(self.blobs().finish_upload(signed_in(timed(request), token))).await?)
    }

    pub(crate) async fn retain_blob(
        &self,
        request: v1::RetainBlobRequest,
        token: &Token,
    ) -> Result<v1::RetainBlobResponse, Refusal> {
        Ok(answer(self.blobs().retain_blob(signed_in(timed(request), token))).await?)
    }

    pub(crate) async fn release_blob(
        &self,
        request: v1::ReleaseBlobRequest,
        token: &Token,
    ) -> Result<(), Refusal> {
        answer(self.blobs().release_blob(signed_in(timed(request), token)))
            .await
            .map(drop)
            .map_err(Refusal::from)
    }

    /// Carries no token: the server need not know who reads what.
    pub(crate) async fn download_blob(&self, request: v1::DownloadBlobRequest) -> Result<Pieces, Refusal> {
        let mut client = BlobServiceClient::new(self.anonymous()).max_decoding_message_size(MAX_MESSAGE_LEN);
        // Only the headers are waited for here; a large blob takes longer than a call may.
        answer(client.download_blob(Request::new(request)))
            .await
            .map(Pieces)
            .map_err(Refusal::from)
    }

    fn blobs(&self) -> BlobServiceClient<Channel> {
        BlobServiceClient::new(self.channel.clone())
    }
}

impl Pieces {
    /// The next piece; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<v1::DownloadBlobResponse>, Refusal> {
        match tokio::time::timeout(STALLED, self.0.message()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(status)) => Err(refusal(&status).because),
            Err(_) => Err(Refusal::Unavailable),
        }
    }
}
