use super::*;

#[test]
fn plans_are_texts() {
    for seed in 0..300 {
        let plan = Plan::of(seed, &Kinds::all());
        let again: Plan = plan.to_string().parse().unwrap();
        assert_eq!(plan, again, "seed {seed}");
    }
}
