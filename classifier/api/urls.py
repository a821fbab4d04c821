"""Where the classifier's part of the API answers."""

from rest_framework.routers import SimpleRouter

from classifier.api.views import ClassificationViewSet, ModelVersionViewSet

router = SimpleRouter(use_regex_path=False)
router.register("classifications", ClassificationViewSet, basename="api-classification")
router.register("model-versions", ModelVersionViewSet, basename="api-model-version")

urlpatterns = router.urls
