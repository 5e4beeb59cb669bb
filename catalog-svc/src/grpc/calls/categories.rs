//! Calls about categories.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use tonic::Request;

use crate::{
    grpc::{Service, categories},
    store,
};

impl Service {
    pub(in crate::grpc) async fn list_categories(
        &self,
        _: Request<wire::ListCategoriesRequest>,
    ) -> Result<wire::ListCategoriesResponse, Failure> {
        let all = store::categories::all(&self.catalog.pool).await?;
        Ok(wire::ListCategoriesResponse {
            categories: all.into_iter().map(categories::encode).collect(),
        })
    }

    pub(in crate::grpc) async fn put_category(
        &self,
        request: Request<wire::PutCategoryRequest>,
    ) -> Result<wire::PutCategoryResponse, Failure> {
        self.require_admin(request.metadata()).await?;
        let category = categories::decode(request.get_ref())?;
        let put = self.catalog.put_category(category).await?;
        Ok(wire::PutCategoryResponse {
            category: Some(categories::encode(put.category)),
            made: put.made,
        })
    }

    pub(in crate::grpc) async fn delete_category(
        &self,
        request: Request<wire::DeleteCategoryRequest>,
    ) -> Result<wire::DeleteCategoryResponse, Failure> {
        self.require_admin(request.metadata()).await?;
        let slug = categories::decode_slug(&request.get_ref().slug)?;
        self.catalog.delete_category(&slug).await?;
        Ok(wire::DeleteCategoryResponse {})
    }
}
