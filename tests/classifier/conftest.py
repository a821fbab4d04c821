"""What most tests of the workflow start from."""

import pytest

from accounts.models import Department, User
from accounts.roles import Role
from classifier.answers import Answer, Claim, FrameResult
from classifier.models import Classification, ModelVersion
from classifier.services import runs
from classifier.services.requests import request_classifications
from records.models import Study
from tests import factories
from tests.classifier.bundles import TEST_KEY


@pytest.fixture(autouse=True)
def _trusts_the_key_of_the_tests(settings, tmp_path) -> None:
    settings.BUNDLE_TRUSTED_KEYS = [tmp_path / "test-key.pem"]
    settings.BUNDLE_STORE_DIR = tmp_path / "bundles-kept"
    (tmp_path / "test-key.pem").write_bytes(TEST_KEY.public_pem)


@pytest.fixture
def department(db: None) -> Department:
    return factories.make_department()


@pytest.fixture
def reviewer(department: Department) -> User:
    return factories.make_user(Role.REVIEWER, department=department)


@pytest.fixture
def technician(department: Department) -> User:
    return factories.make_user(Role.TECHNICIAN, department=department)


@pytest.fixture
def study(department: Department) -> Study:
    return factories.make_study(department=department)


@pytest.fixture
def version(db: None) -> ModelVersion:
    return factories.make_model_version()


@pytest.fixture
def queued(study: Study, technician: User) -> Classification:
    return request_classifications(actor=technician, study=study)[0]


@pytest.fixture
def claim(queued: Classification) -> Claim:
    found = runs.claim_classification(worker="worker-1")
    assert found is not None
    return found


@pytest.fixture
def answer(study: Study, version: ModelVersion) -> Answer:
    instance = study.series.get().instances.get()
    return Answer(
        model_version=version,
        runtime="openvino",
        outcome="finding",
        label="pneumonia",
        probabilities={"normal": 0.06, "pneumonia": 0.92, "tuberculosis": 0.02},
        confidence="high",
        aggregation="mean",
        input_hashes=[instance.sha256],
        frames=[
            FrameResult(
                instance_id=instance.pk,
                frame=1,
                probabilities={"normal": 0.06, "pneumonia": 0.92, "tuberculosis": 0.02},
                activation_maps={"pneumonia": [[0.0, 1.0], [0.5, 0.25]]},
                is_deciding=True,
            )
        ],
    )


@pytest.fixture
def answered(claim: Claim, answer: Answer) -> Classification:
    assert runs.complete_classification(claim=claim, answer=answer)
    return Classification.objects.get(pk=claim.classification_id)
