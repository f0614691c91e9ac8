using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FlowMM.Model.Kernels;

/// <summary>Sixteen values: AVX-512.</summary>
internal readonly unsafe struct Lanes512 : ILanes<Lanes512>
{
    private readonly Vector512<float> _value;

    private Lanes512(Vector512<float> value) => _value = value;

    public static int Count => 16;

    public static bool Many => true;

    public static Lanes512 Zero => new(Vector512<float>.Zero);

    public static Lanes512 Of(float value) => new(Vector512.Create(value));

    public static Lanes512 Load(float* from) => new(Vector512.Load(from));

    public static void Load(sbyte* from, out Lanes512 first, out Lanes512 second)
    {
        Vector512<int> pairs = Avx512BW.ConvertToVector512Int16(Vector256.Load(from)).AsInt32();
        first = new(Vector512.ConvertToSingle((pairs << 16) >> 16));
        second = new(Vector512.ConvertToSingle(pairs >> 16));
    }

    public static Lanes512 OfPair(int pair) => new(Vector512.Create(pair).AsSingle());

    public static Lanes512 AddPairs(sbyte* from, Lanes512 pairs, Lanes512 sums)
    {
        Vector512<short> weights = Avx512BW.ConvertToVector512Int16(Vector256.Load(from));
        return new((sums._value.AsInt32() + Avx512BW.MultiplyAddAdjacent(weights, pairs._value.AsInt16())).AsSingle());
    }

    public static Lanes512 OfWhole(Lanes512 value) => new(Vector512.ConvertToSingle(value._value.AsInt32()));

    public static void Store(Lanes512 value, short* to) => Avx512F.ConvertToVector256Int16(Vector512.ConvertToInt32(value._value)).Store(to);

    public static void Load(ushort* from, out Lanes512 even, out Lanes512 odd)
    {
        Vector512<uint> both = Vector512.Load((uint*)from);
        even = new((both << 16).AsSingle());
        odd = new((both & Vector512.Create(0xFFFF0000u)).AsSingle());
    }

    public static void Store(Lanes512 value, float* to) => value._value.Store(to);

    public static Lanes512 Add(Lanes512 a, Lanes512 b) => new(a._value + b._value);

    public static Lanes512 Multiply(Lanes512 a, Lanes512 b) => new(a._value * b._value);

    public static Lanes512 Divide(Lanes512 a, Lanes512 b) => new(a._value / b._value);

    public static Lanes512 Max(Lanes512 a, Lanes512 b) => new(Vector512.Max(a._value, b._value));

    public static Lanes512 MultiplyAdd(Lanes512 a, Lanes512 b, Lanes512 c) => new(Vector512.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Lanes512 Round(Lanes512 value) => new(Vector512.Round(value._value));

    public static Lanes512 Scale(Lanes512 value, Lanes512 power)
    {
        Vector512<int> exponent = (Vector512.ConvertToInt32(power._value) + Vector512.Create(127)) << 23;
        return new(value._value * exponent.AsSingle());
    }

    public static float Sum(Lanes512 value) => Lanes256.Sum(value._value.GetLower() + value._value.GetUpper());

    public static float Largest(Lanes512 value) => Lanes256.Largest(Vector256.Max(value._value.GetLower(), value._value.GetUpper()));
}
