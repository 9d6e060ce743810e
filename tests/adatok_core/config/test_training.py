from adatok_core.config import FineTuning, TrainingConfig


def test_training_has_no_adversary_and_fine_tuning_keeps_the_tokenizer_s_adapters():
    assert TrainingConfig().adversarial is None
    assert FineTuning().lora is None
    assert FineTuning().trainable == "decoder"
    assert FineTuning().training == TrainingConfig()
