//! Blobs: sealed attachments, uploaded in parts and read in ranges.

use std::sync::Arc;

use sottovoce_proto::v1;
use sottovoce_proto::v1::blob_service_server::BlobService;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::service::unsupported;

/// `sottovoce.v1.BlobService`.
#[derive(Clone, Debug)]
pub(crate) struct Blobs(pub(crate) Arc<App>);

#[tonic::async_trait]
impl BlobService for Blobs {
    type DownloadBlobStream = tokio_stream::Empty<Result<v1::DownloadBlobResponse, Status>>;

    async fn begin_upload(
        &self,
        _: Request<v1::BeginUploadRequest>,
    ) -> Result<Response<v1::BeginUploadResponse>, Status> {
        Err(unsupported())
    }

    async fn upload_part(
        &self,
        _: Request<v1::UploadPartRequest>,
    ) -> Result<Response<v1::UploadPartResponse>, Status> {
        Err(unsupported())
    }

    async fn finish_upload(
        &self,
        _: Request<v1::FinishUploadRequest>,
    ) -> Result<Response<v1::FinishUploadResponse>, Status> {
        Err(unsupported())
    }

    async fn retain_blob(
        &self,
        _: Request<v1::RetainBlobRequest>,
    ) -> Result<Response<v1::RetainBlobResponse>, Status> {
        Err(unsupported())
    }

    async fn release_blob(
        &self,
        _: Request<v1::ReleaseBlobRequest>,
    ) -> Result<Response<v1::ReleaseBlobResponse>, Status> {
        Err(unsupported())
    }

    async fn download_blob(
        &self,
        _: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Self::DownloadBlobStream>, Status> {
        Err(unsupported())
    }
}
