using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FlowMM.Model.Kernels;

/// <summary>Eight values: AVX2 and FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Lanes256>
{
    private readonly Vector256<float> _value;

    private Lanes256(Vector256<float> value) => _value = value;

    public static int Count => 8;

    public static bool Many => false;

    public static Lanes256 Zero => new(Vector256<float>.Zero);

    public static Lanes256 Of(float value) => new(Vector256.Create(value));

    public static Lanes256 Load(float* from) => new(Vector256.Load(from));

    public static void Load(sbyte* from, out Lanes256 first, out Lanes256 second)
    {
        Vector256<int> pairs = Avx2.ConvertToVector256Int16(from).AsInt32();
        first = new(Vector256.ConvertToSingle((pairs << 16) >> 16));
        second = new(Vector256.ConvertToSingle(pairs >> 16));
    }

    public static Lanes256 OfPair(int pair) => new(Vector256.Create(pair).AsSingle());

    public static Lanes256 AddPairs(sbyte* from, Lanes256 pairs, Lanes256 sums)
    {
        Vector256<short> weights = Avx2.ConvertToVector256Int16(from);
        return new((sums._value.AsInt32() + Avx2.MultiplyAddAdjacent(weights, pairs._value.AsInt16())).AsSingle());
    }

    public static Lanes256 OfWhole(Lanes256 value) => new(Vector256.ConvertToSingle(value._value.AsInt32()));

    public static void Store(Lanes256 value, short* to)
    {
        Vector256<int> whole = Vector256.ConvertToInt32(value._value);
        Vector128.Narrow(whole.GetLower(), whole.GetUpper()).Store(to);
    }

    public static void Load(ushort* from, out Lanes256 even, out Lanes256 odd)
    {
        Vector256<uint> both = Vector256.Load((uint*)from);
        even = new((both << 16).AsSingle());
        odd = new((both & Vector256.Create(0xFFFF0000u)).AsSingle());
    }

    public static void Store(Lanes256 value, float* to) => value._value.Store(to);

    public static Lanes256 Add(Lanes256 a, Lanes256 b) => new(a._value + b._value);

    public static Lanes256 Multiply(Lanes256 a, Lanes256 b) => new(a._value * b._value);

    public static Lanes256 Divide(Lanes256 a, Lanes256 b) => new(a._value / b._value);

    public static Lanes256 Max(Lanes256 a, Lanes256 b) => new(Vector256.Max(a._value, b._value));

    public static Lanes256 MultiplyAdd(Lanes256 a, Lanes256 b, Lanes256 c) => new(Vector256.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Lanes256 Round(Lanes256 value) => new(Vector256.Round(value._value));

    public static Lanes256 Scale(Lanes256 value, Lanes256 power)
    {
        Vector256<int> exponent = (Vector256.ConvertToInt32(power._value) + Vector256.Create(127)) << 23;
        return new(value._value * exponent.AsSingle());
    }

    public static float Sum(Lanes256 value) => Sum(value._value);

    public static float Largest(Lanes256 value) => Largest(value._value);

    internal static float Sum(Vector256<float> value)
    {
        Vector128<float> four = value.GetLower() + value.GetUpper();
        Vector128<float> two = four + Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1));
        return two[0] + two[1];
    }

    internal static float Largest(Vector256<float> value)
    {
        Vector128<float> four = Vector128.Max(value.GetLower(), value.GetUpper());
        Vector128<float> two = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(two[0], two[1]);
    }
}
