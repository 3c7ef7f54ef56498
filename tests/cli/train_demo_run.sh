#!/bin/sh
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#
# train_demo_run.sh ATTEND SOURCE RUN: trains the small run that tests with "# needs: demo-run" read.
# Four passes over the demo data: good enough to tell the classes apart, done in seconds.
set -eu
attend=$1
source_folder=$2
run=$3
mkdir -p "$(dirname "$run")"
cd "$source_folder"
exec "$attend" train --recipe recipes/interests.json --set train.epochs=4 \
  --set model.hidden_size=32 --set model.embedding_dim=32 --set train.learning_rate=5e-3 \
  --seed 1 --quiet --force -o "$run"
