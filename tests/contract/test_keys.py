"""Key material, as this machine makes it and as a simulated host does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from zope.interface.verify import verifyObject

from labsim.world.world import World
from runtime.ports import IKeys
from tests.contract.benches import Bench, RealBench, SimulatedBench


class KeysContract:
    def test_the_keys_provide_their_interface(self, bench: Bench):
        assert verifyObject(IKeys, bench.runtime.keys)

    def test_a_private_key_is_a_key_of_the_curve(self, bench):
        text = bench.runtime.keys.new_private_key()

        key = load_pem_private_key(text.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)

    def test_no_two_keys_and_no_two_tokens_are_the_same(self, bench):
        keys = bench.runtime.keys

        made = [keys.new_private_key() for _ in range(20)]
        made += [keys.new_token() for _ in range(20)]

        assert len(set(made)) == 40

    def test_a_token_has_256_bits_and_never_looks_like_an_option(self, bench):
        """With a dash in front, ``slapos configure client --token`` refuses it."""
        token = bench.runtime.keys.new_token()

        assert len(token) == 64
        assert set(token) <= set("0123456789abcdef")


class TestRealKeys(KeysContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench


class TestSimulatedKeys(KeysContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    def test_a_seed_makes_the_same_keys_again(self):
        made = []
        for _ in range(2):
            keys = World(seed=5).host("alone").runtime.keys
            made.append((keys.new_private_key(), keys.new_token()))

        assert made[0] == made[1]
